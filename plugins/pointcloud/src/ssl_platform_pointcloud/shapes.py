"""Built-in shapes: columns with a number of lobes, which is their class.

A column's radius is `R (1 + a cos(m (angle - phase)) + b cos(2 angle - p))`. Points are spread evenly over the angle,
so the distribution of their distances from the axis hardly depends on the number of lobes m, and from three lobes on
the second moments do not either: neither histograms of coordinates nor the covariance tell m, only how radii follow
each other around the axis. Flattening b, height, taper, lean, depth of the lobes, foot, knob, density, colours and
noise are drawn apart from the class. (Meshes are the exception: points spread evenly over an area favour steep flanks,
so few are.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CLASSES = {"three": 3, "four": 4, "five": 5, "six": 6}
PARTS = ("body", "foot", "knob")


@dataclass(frozen=True)
class Shape:
    """What one column is like; lengths in metres.

    Attributes:
        lobes: m.
        depth: a, of the lobes.
        phase: angle of the first lobe.
        flat: b and p, how much and where the outline is squeezed.
        radius, height: of the body.
        taper: how much narrower the top is than the bottom, as a fraction.
        lean: `[2]` how far the top lies from above the bottom.
        foot: radius and thickness of the disc below, in units of the body's radius.
        knob: radius of the ball on top, in units of the body's radius, and `[2]` where it lies.
        colours: `[2, 3]` of the body's bottom and top, 0 to 255.
    """

    lobes: int
    depth: float
    phase: float
    flat: tuple[float, float]
    radius: float
    height: float
    taper: float
    lean: np.ndarray
    foot: tuple[float, float]
    knob: tuple[float, float, float]
    colours: np.ndarray


@dataclass(frozen=True)
class Scan:
    """Points of a shape.

    Attributes:
        xyz: `[N, 3]` metres.
        normals: `[N, 3]`.
        colours: `[N, 3]` uint8.
        part: `[N]` uint8, position in `PARTS`.
    """

    xyz: np.ndarray
    normals: np.ndarray
    colours: np.ndarray
    part: np.ndarray


def draw_shape(label: str, rng: np.random.Generator) -> Shape:
    """A column of a class; everything but the number of lobes is drawn without looking at it."""
    radius = float(rng.uniform(0.3, 1.2))
    return Shape(
        lobes=CLASSES[label],
        depth=float(rng.uniform(0.28, 0.4)),
        phase=float(rng.uniform(0, 2 * np.pi)),
        flat=(float(rng.uniform(0.0, 0.2)), float(rng.uniform(0, 2 * np.pi))),
        radius=radius,
        height=radius * float(rng.uniform(1.2, 2.0)),
        taper=float(rng.uniform(0.0, 0.35)),
        lean=rng.uniform(-0.25, 0.25, 2) * radius,
        foot=(float(rng.uniform(0.5, 1.3)), float(rng.uniform(0.05, 0.25))),
        knob=(float(rng.uniform(0.15, 0.35)), *rng.uniform(-0.3, 0.3, 2)),
        colours=rng.uniform(30, 225, (2, 3)),
    )


def surface(shape: Shape, part: int, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """`[..., 3]` points of a part at angle `2 pi u` and height (or latitude) `v`, both in [0, 1]."""
    angle = 2 * np.pi * u
    if part == 0:
        lobes = shape.depth * np.cos(shape.lobes * (angle - shape.phase))
        outline = 1 + lobes + shape.flat[0] * np.cos(2 * angle - shape.flat[1])
        radius = shape.radius * (1 - shape.taper * v) * outline
        z = v * shape.height
    elif part == 1:
        disc, thickness = (value * shape.radius for value in shape.foot)
        # The side of a disc for v below a third, its underside beyond.
        radius = np.where(v < 1 / 3, disc, disc * np.sqrt(np.clip((1 - v) * 1.5, 0, 1)))
        z = np.where(v < 1 / 3, -3 * v, -1) * thickness
    else:
        ball = shape.knob[0] * shape.radius
        radius, z = ball * np.sqrt(np.clip(4 * v * (1 - v), 0, 1)), ball * (2 * v - 1) + shape.height + 0.5 * ball
    place = np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=-1)
    if part == 2:
        place[..., :2] += np.array(shape.knob[1:]) * shape.radius
    place[..., :2] += shape.lean * (place[..., 2:] / shape.height)
    return place


def scan(shape: Shape, points: int, rng: np.random.Generator) -> Scan:
    """Points of a shape as a scanner takes them: denser on one side, a little noisy."""
    share = np.array([0.82, 0.1, 0.08])
    part = rng.choice(3, points, p=share).astype(np.uint8)
    u, v = rng.random((2, points))
    # A density that rises towards one side by up to half.
    side, tilt = rng.random(), rng.uniform(0.0, 0.5)
    u = u - tilt / (2 * np.pi) * np.sin(2 * np.pi * (u - side))
    xyz, normals = np.empty((points, 3)), np.empty((points, 3))
    for number in range(3):
        own = part == number
        a, b = u[own], v[own]
        xyz[own] = surface(shape, number, a, b)
        step = 1e-4
        along = surface(shape, number, a + step, b) - surface(shape, number, a - step, b)
        inner = np.clip(b, step, 1 - step)
        up = surface(shape, number, a, inner + step) - surface(shape, number, a, inner - step)
        normals[own] = np.cross(along, up)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    # The parametrisation of the foot runs downwards.
    normals[part == 1] *= -1
    xyz += rng.normal(0, 0.008 * shape.radius, xyz.shape)
    height = np.clip(xyz[:, 2:] / shape.height, 0, 1)
    colours = shape.colours[0] * (1 - height) + shape.colours[1] * height + rng.normal(0, 8, (points, 3))
    return Scan(xyz, normals, colours.clip(0, 255).astype(np.uint8), part)


def mesh(shape: Shape, around: int = 72, along: int = 14) -> tuple[np.ndarray, np.ndarray]:
    """Vertices `[V, 3]` and triangles `[F, 3]` of a shape."""
    u, v = np.meshgrid(np.arange(around) / around, np.linspace(0, 1, along), indexing="ij")
    places = [surface(shape, number, u.ravel(), v.ravel()) for number in range(3)]
    i, j = (grid.ravel() for grid in np.meshgrid(np.arange(around), np.arange(along - 1), indexing="ij"))
    a, b = i * along + j, (i + 1) % around * along + j
    faces = np.concatenate([np.stack([a, b, a + 1], 1), np.stack([b, b + 1, a + 1], 1)])
    count = around * along
    return np.concatenate(places), np.concatenate([faces + number * count for number in range(3)])
