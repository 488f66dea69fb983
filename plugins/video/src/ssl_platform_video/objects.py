"""Sample videos for label propagation: coloured things that cross a textured ground on known paths.

Two objects a video, whose masks are known in every frame, or a figure of five joints that turns as it goes, whose
places are known. Colours, textures, sizes, paths and speeds are drawn; everything bounces off the edges and moves so
far that a mask left where it was soon misses.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssl_platform.data.sample_set import write_once
from ssl_platform_video.encode import write_video

ITEMS = 12
_VERSION = 2
FRAMES, FPS = 16, 8.0
JOINTS = ("head", "left hand", "right hand", "left foot", "right foot")
_LIMBS = np.array([(-1.0, 0.0), (-0.2, -0.9), (-0.2, 0.9), (1.0, -0.6), (1.0, 0.6)])
_PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0]


@dataclass(frozen=True)
class Marked:
    """One video and what is marked in it.

    Attributes:
        frames: `[T, H, W, 3]` uint8.
        masks: `[T, H, W]` uint8 objects by number, or None.
        points: `[T, K, 2]` down and across in pixels, or None.
    """

    frames: np.ndarray
    masks: np.ndarray | None = None
    points: np.ndarray | None = None


def write_objects(folder: Path, seed: int = 0, items: int = ITEMS) -> Path:
    """Write the set unless it is there: folders of frames and MP4 files, masks of two in three, points of the others.

    Args:
        folder: gets `videos/`, `marks/` and `manifest.csv`.
        seed: of everything drawn.
        items: videos.

    Returns:
        path of the manifest (columns path, mask, frame_rate).
    """

    def write() -> list[dict[str, str]]:
        return [_write_item(folder, at, np.random.default_rng([seed, at])) for at in range(items)]

    return write_once(folder, {"version": _VERSION, "seed": seed, "items": items}, write)


def _write_item(folder: Path, at: int, rng: np.random.Generator) -> dict[str, str]:
    made = make_figure(rng) if at % 3 == 2 else make_objects(rng)
    name, filed = f"object{at:02d}", at % 4 == 1
    video, marks = folder / "videos" / name, folder / "marks" / name
    if filed:
        video = video.with_name(f"{name}.mp4")
        video.parent.mkdir(parents=True, exist_ok=True)
        write_video(video, made.frames, FPS)
    else:
        _write_pictures(video, made.frames)
    if made.masks is not None:
        _write_pictures(marks, made.masks)
    else:
        assert made.points is not None
        marks = marks.with_name(f"{name}.csv")
        _write_points(marks, made.points)
    path, mask = (p.relative_to(folder).as_posix() for p in (video, marks))
    return {"path": path, "mask": mask, "frame_rate": "" if filed else f"{FPS:g}"}


def _write_pictures(folder: Path, pictures: np.ndarray) -> None:
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for number, values in enumerate(pictures):
        picture = Image.fromarray(values)
        if values.ndim == 2:
            picture.putpalette(_PALETTE)
        picture.save(folder / f"{number:05d}.png", compress_level=1)


def _write_points(path: Path, points: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("frame", "point", "x", "y"))
        writer.writerows(
            (t, name, f"{x:.2f}", f"{y:.2f}")
            for t, places in enumerate(points)
            for name, (y, x) in zip(JOINTS, places, strict=True)
        )


# --------------------------------------------------------------------------------------------------------------- scenes
def make_objects(rng: np.random.Generator) -> Marked:
    """Two ellipses; the second passes in front of the first."""
    size = _size(rng)
    frames, masks = _ground(size, rng), np.zeros((FRAMES, *size), np.uint8)
    down, across = np.mgrid[: size[0], : size[1]]
    for number, hue in enumerate(_hues(2, rng), start=1):
        radii = rng.uniform(14.0, 22.0, 2)
        path = _path(size, float(radii.max()), rng)
        skin = _skin((64, 64), hue, rng)
        for t, (y, x) in enumerate(path):
            inside = ((down - y) / radii[0]) ** 2 + ((across - x) / radii[1]) ** 2 < 1
            masks[t, inside] = number
            frames[t, inside] = skin[(down[inside] - y).astype(int) % 64, (across[inside] - x).astype(int) % 64]
    return Marked(_filmed(frames, rng), masks=masks)


def make_figure(rng: np.random.Generator) -> Marked:
    """Five discs of unlike colours that turn slowly around a moving centre."""
    size = _size(rng)
    frames, reach = _ground(size, rng), float(rng.uniform(26.0, 32.0))
    centre = _path(size, reach + 8.0, rng)
    angle = rng.uniform(-0.4, 0.4) + rng.uniform(-0.05, 0.05) * np.arange(FRAMES)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], -1).reshape(-1, 2, 2)
    places = centre[:, None] + reach * np.einsum("tij,kj->tki", turn, _LIMBS)
    down, across = np.mgrid[: size[0], : size[1]]
    for joint, hue in enumerate(_hues(len(JOINTS), rng)):
        skin = _skin((32, 32), hue, rng)
        for t, (y, x) in enumerate(places[:, joint]):
            inside = (down + 0.5 - y) ** 2 + (across + 0.5 - x) ** 2 < 8.0**2
            frames[t, inside] = skin[(down[inside] - y).astype(int) % 32, (across[inside] - x).astype(int) % 32]
    return Marked(_filmed(frames, rng), points=places)


def _size(rng: np.random.Generator) -> tuple[int, int]:
    return 128 + 2 * int(rng.integers(0, 9)), 160 + 2 * int(rng.integers(0, 9))


def _path(size: tuple[int, int], margin: float, rng: np.random.Generator) -> np.ndarray:
    """`[T, 2]` places that keep the margin from the edges, where the path is thrown back; 5 to 7 pixels a frame."""
    room = np.array(size) - 2 * margin
    start, heading = rng.uniform(0, room), rng.uniform(0, 2 * np.pi)
    speed = rng.uniform(5.0, 7.0) * np.array([np.sin(heading), np.cos(heading)])
    gone = (start + speed * np.arange(FRAMES)[:, None]) % (2 * room)
    return np.asarray(margin + np.minimum(gone, 2 * room - gone))


def _hues(count: int, rng: np.random.Generator) -> np.ndarray:
    """`[count, 3]` colours far from each other, 0 to 255."""
    turn = (rng.uniform() + np.arange(count) / count) * 2 * np.pi
    return np.asarray(128 + 110 * np.cos(turn[:, None] + 2 * np.pi / 3 * np.arange(3)))


def _skin(size: tuple[int, int], colour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`[H, W, 3]` of one colour in lighter and darker patches."""
    return np.asarray(colour + 25.0 * _smooth(size, 3.0, rng)[..., None])


def _ground(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """`[T, H, W, 3]` a still grey texture."""
    grey = rng.uniform(90.0, 160.0) + rng.uniform(-12.0, 12.0, 3)
    still = grey + 30.0 * _smooth(size, float(rng.uniform(4.0, 8.0)), rng)[..., None]
    return np.repeat(still[None], FRAMES, axis=0)


def _smooth(size: tuple[int, int], sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit deviation, blurred; it repeats itself at the edges."""
    from scipy import ndimage

    values = ndimage.gaussian_filter(rng.standard_normal(size), sigma, mode="wrap")
    return np.asarray(values / values.std())


def _filmed(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noisy = frames + rng.uniform(1.0, 3.0) * rng.standard_normal(frames.shape[:3])[..., None]
    return np.asarray(noisy.clip(0, 255).round().astype(np.uint8))
