"""A plain picture of any view: what a domain shows that says nothing of its own.

C H W      the image; three channels are red, green, blue
C D H W    three orthogonal slices through the middle
C T H W    four frames in order
C F T      the spectrogram, low frequencies at the bottom
C T        the curves, one strip a channel
N C        the points from the front and from above, near ones bright
"""

from __future__ import annotations

import numpy as np

from ssl_platform.types import Layout

FRAMES = 4
"""Moments shown of an item with a time axis."""
CURVES = 4
"""Channels shown of a signal."""
STRIP = (40, 160)
"""Cells of one channel's curve."""
CLOUD = 96
"""Cells along each side of a picture of points."""
PERCENTILES = (1.0, 99.0)
"""What is shown as black and as white."""


def render_default(x: np.ndarray, layout: Layout) -> np.ndarray:
    """A picture of one view.

    Args:
        x: `[C, *size]`, or `[N, C]` for point sets; values of any range, NaN counts as black.
        layout: names the axes.

    Returns:
        `[height, width]` or `[height, width, 3]` uint8.
    """
    x = np.asarray(x, dtype=np.float32)
    if layout.points:
        return _cloud(x)
    if layout.rank == 1:
        return np.concatenate([_curve(channel) for channel in x[:CURVES]], axis=0)
    if layout.rank == 2:
        return _plane(x[:, ::-1] if layout.spatial[0] == "F" else x)
    if layout.spatial[0] == "T":
        return _row([_plane(x[:, t]) for t in np.linspace(0, x.shape[1] - 1, min(FRAMES, x.shape[1])).astype(int)])
    first, second, third = (size // 2 for size in x.shape[1:])
    return _row([grey(plane) for plane in (x[0, first], x[0, :, second], x[0, :, :, third])])


def grey(values: np.ndarray) -> np.ndarray:
    """`[...]` uint8: robust percentiles of the finite values become black and white; a constant is mid-grey."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return np.zeros(values.shape, dtype=np.uint8)
    low, high = (float(v) for v in np.percentile(finite, PERCENTILES))
    if high <= low:
        low, high = float(finite.min()), float(finite.max())
    if high <= low:
        return np.full(values.shape, 128, dtype=np.uint8)
    scaled = np.nan_to_num((values - low) / (high - low), nan=0.0, posinf=1.0, neginf=0.0)
    return np.asarray((scaled.clip(0.0, 1.0) * 255.0).round().astype(np.uint8))


def _plane(x: np.ndarray) -> np.ndarray:
    """`[C, H, W]` as colours where there are three channels, else the first in grey."""
    if x.shape[0] == 3:
        return grey(x.transpose(1, 2, 0))
    return grey(x[0])


def _row(planes: list[np.ndarray]) -> np.ndarray:
    """Planes side by side with one black column between; shorter ones are filled up below."""
    height = max(plane.shape[0] for plane in planes)
    rest = ((0, 0),) * (planes[0].ndim - 2)
    padded = [np.pad(plane, ((0, height - plane.shape[0]), (0, 1), *rest)) for plane in planes]
    return np.concatenate(padded, axis=1)[:, :-1]


def _curve(values: np.ndarray) -> np.ndarray:
    """`[T]` as a strip whose columns are filled between the least and the greatest value of their stretch."""
    height, width = STRIP
    level = (height - 1) - grey(values).astype(np.int64) * (height - 1) // 255
    stretches = np.array_split(level, min(width, len(level)))
    picture = np.zeros((height, len(stretches)), dtype=np.uint8)
    for column, stretch in enumerate(stretches):
        picture[stretch.min() : stretch.max() + 1, column] = 255
    return np.repeat(picture, max(1, width // len(stretches)), axis=1)


def _cloud(x: np.ndarray) -> np.ndarray:
    """`[N, C]` seen along the second axis and along the third."""
    places = x[np.isfinite(x[:, :3]).all(axis=1), :3]
    if not len(places):
        return np.zeros((CLOUD, 2 * CLOUD), dtype=np.uint8)
    low = places.min(axis=0)
    unit = (places - low) / max(float((places.max(axis=0) - low).max()), 1e-9)
    return _row([_projected(unit, across=0, up=2, depth=1), _projected(unit, across=0, up=1, depth=2)])


def _projected(unit: np.ndarray, *, across: int, up: int, depth: int) -> np.ndarray:
    order = np.argsort(unit[:, depth], kind="stable")
    cells = (unit[order] * (CLOUD - 1)).round().astype(np.int64)
    picture = np.zeros((CLOUD, CLOUD), dtype=np.uint8)
    # Later assignments win, so the nearest point of a cell is the one seen.
    picture[CLOUD - 1 - cells[:, up], cells[:, across]] = (90 + 165 * unit[order, depth]).astype(np.uint8)
    return picture
