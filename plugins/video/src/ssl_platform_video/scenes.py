"""Sample clips: a patterned surface that rises, falls, glides sideways or circles.

Which of the four it does is the class. Pattern, colours, contrast, brightness, speed, length, size, frame rate and
container are drawn without looking at it, so single frames, histograms, differences of frames and durations tell
nothing; only which way things move does. All classes stay what they are when a clip is mirrored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssl_platform.data.sample_set import Planned, plan_groups, write_once
from ssl_platform_video.encode import write_video

CLASSES = ("circling", "falling", "rising", "sideways")
ITEMS = 128
_VERSION = 2
_RATES = (10.0, 12.0, 12.5, 15.0)
# How often each kind of file is written: most people have MP4.
_KINDS = (
    ("mp4", 0.62),
    ("mkv, uneven times", 0.14),
    ("avi", 0.1),
    ("mp4, turned", 0.06),
    ("webm", 0.05),
    ("frames", 0.03),
)


@dataclass(frozen=True)
class Scene:
    """One clip.

    Attributes:
        frames: `[T, H, W, 3]` uint8.
        times: `[T]` s of each frame.
        fps: nominal rate.
        label: its class.
    """

    frames: np.ndarray
    times: np.ndarray
    fps: float
    label: str


def write_sample_set(folder: Path, seed: int = 0, items: int = ITEMS) -> Path:
    """Write the set unless it is there; whatever was left half written is written again.

    Args:
        folder: gets `clips/` and `manifest.csv`.
        seed: of everything drawn.
        items: clips; cameras have one or two, all classes are equally frequent.

    Returns:
        path of the manifest (columns path, label, group, split, frame_rate).
    """

    def write() -> list[dict[str, str]]:
        (folder / "clips").mkdir(parents=True, exist_ok=True)
        plan = plan_groups(CLASSES, items, np.random.default_rng([seed, 1]), train=0.5, val=0.15)
        kinds = _kinds(items, np.random.default_rng([seed, 2]))
        return [_write_item(folder, seed, at, kinds[at], plan[at]) for at in range(items)]

    return write_once(folder, {"version": _VERSION, "seed": seed, "items": items}, write)


def _kinds(items: int, rng: np.random.Generator) -> list[str]:
    names = [name for name, _ in _KINDS]
    return [names[at] for at in rng.choice(len(names), items, p=[share for _, share in _KINDS])]


def _write_item(folder: Path, seed: int, at: int, kind: str, planned: Planned) -> dict[str, str]:
    scene = make_scene(planned.label, np.random.default_rng([seed, 3, at]), uneven="uneven" in kind)
    container = kind.partition(",")[0]
    path = Path("clips", f"clip{at:03d}" + ("" if kind == "frames" else f".{container}"))
    if kind == "frames":
        _write_frames(folder / path, scene.frames)
    else:
        turned = "turned" in kind
        frames = np.rot90(scene.frames, 1, axes=(1, 2)) if turned else scene.frames
        write_video(
            folder / path,
            frames,
            scene.fps,
            times=scene.times.tolist() if "uneven" in kind else None,
            rotation=-90 if turned else 0,
        )
    rate = f"{scene.fps:g}" if kind == "frames" else ""
    group = f"camera{planned.group:03d}"
    return {
        "path": path.as_posix(),
        "label": planned.label,
        "group": group,
        "split": planned.split,
        "frame_rate": rate,
    }


def _write_frames(folder: Path, frames: np.ndarray) -> None:
    from PIL import Image

    folder.mkdir(exist_ok=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{number:05d}.jpg", quality=92)


# --------------------------------------------------------------------------------------------------------------- scenes
def make_scene(label: str, rng: np.random.Generator, uneven: bool = False) -> Scene:
    """One clip of a class; everything but the way the surface moves is drawn without looking at the class.

    Args:
        label: of `CLASSES`.
        rng: of everything drawn.
        uneven: whether frames come at uneven times.
    """
    height, width = (2 * int(n) for n in rng.integers(36, 43, 2))
    fps = float(rng.choice(_RATES))
    count = round(float(rng.uniform(3.0, 4.2)) * fps)
    times = np.arange(count) / fps
    if uneven:
        times = times + np.concatenate([[0.0], rng.uniform(-0.3, 0.3, count - 1)]) / fps
    across, down = _path(label, times, rng)
    frames = np.stack(list(_frames(height, width, across, down, rng)))
    return Scene(frames, times, fps, label)


def _path(label: str, times: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """How far the surface has moved across and down at each time, in pixels; speeds are alike in all classes."""
    speed = float(rng.uniform(10.0, 16.0))
    side = float(rng.choice((-1.0, 1.0)))
    turn, start = 2 * np.pi / float(rng.uniform(1.8, 2.2)), float(rng.uniform(0, 2 * np.pi))
    if label == "circling":
        angle = start + side * turn * times
        radius = speed / turn
        return radius * (np.cos(angle) - np.cos(start)), radius * (np.sin(angle) - np.sin(start))
    # Not quite straight up, down or across.
    slant = np.deg2rad(rng.uniform(-12.0, 12.0))
    along, aside = speed * times * np.cos(slant), speed * times * np.sin(slant)
    if label == "sideways":
        return side * along, aside
    return aside, along if label == "falling" else -along


def _frames(
    height: int, width: int, across: np.ndarray, down: np.ndarray, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """The surface at each place: one wave along each axis, several patches long, between two colours."""
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
    pitch_x, pitch_y = (2 * np.pi / rng.uniform(28.0, 36.0, 2)).tolist()
    phase_x, phase_y = rng.uniform(0, 2 * np.pi, 2).tolist()
    dark, bright = _colours(rng)
    noise = float(rng.uniform(0.5, 2.0))
    for right, below in zip(across.tolist(), down.tolist(), strict=True):
        value = np.sin(pitch_x * (x - right) + phase_x) + np.sin(pitch_y * (y - below) + phase_y)
        share = 0.5 + 0.25 * value[..., None]
        frame = dark + share * (bright - dark) + noise * rng.standard_normal((height, width, 1), dtype=np.float32)
        yield frame.clip(0, 255).round().astype(np.uint8)


def _colours(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A dark and a bright colour, with contrast and hue of their own."""
    middle, contrast = rng.uniform(112.0, 144.0), rng.uniform(45.0, 80.0)
    dark = middle - contrast + rng.uniform(-15.0, 15.0, 3)
    bright = middle + contrast + rng.uniform(-15.0, 15.0, 3)
    return dark.astype(np.float32), bright.astype(np.float32)
