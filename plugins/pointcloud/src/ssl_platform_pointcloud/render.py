"""A cloud as people look at it: from the front and from above."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssl_platform_pointcloud.fields import COLOUR

SIDE = 96
_DARKEST = 0.35
_COVERED = 0.5
"""Share of the picture that the points would cover if none hid another."""


def render(x: np.ndarray, channels: Sequence[str]) -> np.ndarray:
    """Two pictures side by side: seen along y, and from above.

    Args:
        x: `[N, C]`; points whose coordinates are all zero are padding.
        channels: names, length C.

    Returns:
        `[96, 193]` uint8, or `[96, 193, 3]` where there are colours; near points are bright.
    """
    x = np.asarray(x, dtype=np.float32)
    x = x[np.isfinite(x[:, :3]).all(axis=1) & (x[:, :3] != 0).any(axis=1)]
    own = [list(channels).index(name) for name in COLOUR] if set(COLOUR) <= set(channels) else None
    shape = (SIDE, SIDE) if own is None else (SIDE, SIDE, 3)
    if not len(x):
        return np.zeros((SIDE, 2 * SIDE + 1, *shape[2:]), np.uint8)
    low = x[:, :3].min(axis=0)
    place = (x[:, :3] - low) / max(float((x[:, :3].max(axis=0) - low).max()), 1e-9)
    shade = np.ones((len(x), 1)) if own is None else x[:, own].clip(0, 1)
    front = _picture(place[:, 0], place[:, 2], 1 - place[:, 1], shade, shape)
    above = _picture(place[:, 0], place[:, 1], place[:, 2], shade, shape)
    between = np.zeros((SIDE, 1, *shape[2:]), np.uint8)
    return np.concatenate([front, between, above], axis=1)


def _picture(
    across: np.ndarray, up: np.ndarray, near: np.ndarray, shade: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Points as squares, large where there are few, the nearest on top."""
    side = int(np.clip(round((_COVERED * SIDE**2 / len(near)) ** 0.5), 1, 4))
    order = np.argsort(near, kind="stable")
    light = (_DARKEST + (1 - _DARKEST) * near[order, None]) * shade[order] * 255
    row, column = ((v[order] * (SIDE - side)).round().astype(int) for v in (1 - up, across))
    picture = np.zeros(shape, np.uint8)
    shown = light.round().astype(np.uint8).squeeze(-1) if len(shape) == 2 else light.round().astype(np.uint8)
    down, right = np.indices((side, side)).reshape(2, -1)
    picture[row[:, None] + down, column[:, None] + right] = shown[:, None]
    return picture
