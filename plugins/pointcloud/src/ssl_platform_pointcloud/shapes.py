"""Built-in shapes: columns of four drums, whose order from bottom to top is their class.

All classes stack the same four widths, only in another order. Points are spread evenly over height and angle, so the
distribution of each coordinate and of distances from the axis is the same for every class, and so are the second
moments: only which width lies at which height tells the classes apart. Height, the widths themselves, lobes and
flattening of the outline, density, colours and noise are drawn apart from the class. (Meshes are the exception: points
spread evenly over an area favour wide drums, so few are.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Widths by rank, from the lowest drum to the highest. The broad drum is never at an end: it would decide how far the
# farthest point lies, and so the size of everything else in the unit sphere.
CLASSES = {
    "bulb": (0, 3, 1, 2),
    "urn": (2, 1, 3, 0),
    "goblet": (0, 1, 3, 2),
    "pear": (2, 3, 1, 0),
}
PARTS = ("narrow", "slim", "wide", "broad")
_WIDTHS = np.array([0.85, 0.95, 1.05, 1.15])
_STEP = 0.1  # of a drum's height: where one width turns into the next


@dataclass(frozen=True)
class Shape:
    """What one column is like; lengths in metres.

    Attributes:
        widths: `[4]` radii of the drums from the lowest to the highest.
        ranks: `[4]` position in `PARTS` of each.
        height: of the column.
        lobes: number, depth and angle of waves of the outline.
        flat: how much and where the outline is squeezed.
        colours: `[2, 3]` of bottom and top, 0 to 255.
    """

    widths: np.ndarray
    ranks: np.ndarray
    height: float
    lobes: tuple[int, float, float]
    flat: tuple[float, float]
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
    """A column of a class; everything but the order of its drums is drawn without looking at it."""
    size = float(rng.uniform(0.3, 1.2))
    widths = size * _WIDTHS * rng.uniform(0.97, 1.03, 4)
    ranks = np.array(CLASSES[label])
    return Shape(
        widths=widths[ranks],
        ranks=ranks,
        height=size * float(rng.uniform(1.6, 2.8)),
        lobes=(int(rng.integers(2, 7)), float(rng.uniform(0.15, 0.35)), float(rng.uniform(0, 2 * np.pi))),
        flat=(float(rng.uniform(0.0, 0.25)), float(rng.uniform(0, 2 * np.pi))),
        colours=rng.uniform(30, 225, (2, 3)),
    )


def surface(shape: Shape, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """`[..., 3]` points at angle `2 pi u` and height `v`, both in [0, 1]."""
    angle = 2 * np.pi * u
    middle, half = (np.arange(4) + 0.5) / 4, (1 - _STEP) / 8
    corners = np.stack([middle - half, middle + half], axis=1).ravel()
    radius = np.interp(v, corners, np.repeat(shape.widths, 2))
    number, depth, phase = shape.lobes
    outline = 1 + depth * np.cos(number * angle - phase) + shape.flat[0] * np.cos(2 * angle - shape.flat[1])
    return np.stack([radius * outline * np.cos(angle), radius * outline * np.sin(angle), v * shape.height], axis=-1)


def scan(shape: Shape, points: int, rng: np.random.Generator) -> Scan:
    """Points of a shape as a scanner takes them: denser on one side, a little noisy."""
    u, v = rng.random((2, points))
    side, tilt = rng.random(), rng.uniform(0.0, 0.5)  # a density that rises towards one side by up to half
    u = u - tilt / (2 * np.pi) * np.sin(2 * np.pi * (u - side))
    xyz, step = surface(shape, u, v), 1e-4
    inner = np.clip(v, step, 1 - step)
    around = surface(shape, u + step, v) - surface(shape, u - step, v)
    up = surface(shape, u, inner + step) - surface(shape, u, inner - step)
    normals = np.cross(around, up)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    xyz = xyz + rng.normal(0, 0.008 * shape.widths.mean(), xyz.shape)
    colours = shape.colours[0] * (1 - v[:, None]) + shape.colours[1] * v[:, None] + rng.normal(0, 8, (points, 3))
    part = shape.ranks[np.minimum((v * 4).astype(int), 3)]
    return Scan(xyz, normals, colours.clip(0, 255).astype(np.uint8), part.astype(np.uint8))


def mesh(shape: Shape, around: int = 72, along: int = 33) -> tuple[np.ndarray, np.ndarray]:
    """Vertices `[V, 3]` and triangles `[F, 3]` of a shape."""
    u, v = np.meshgrid(np.arange(around) / around, np.linspace(0, 1, along), indexing="ij")
    i, j = (grid.ravel() for grid in np.meshgrid(np.arange(around), np.arange(along - 1), indexing="ij"))
    a, b = i * along + j, (i + 1) % around * along + j
    faces = np.concatenate([np.stack([a, b, a + 1], 1), np.stack([b, b + 1, a + 1], 1)])
    return surface(shape, u.ravel(), v.ravel()), faces
