"""A clip as a strip of frames."""

from __future__ import annotations

import numpy as np

SHOWN = 6


def render(x: np.ndarray) -> np.ndarray:
    """Up to six frames in order, side by side.

    Args:
        x: `[3, T, H, W]` in [0, 255]; values beyond are clipped, NaN is black.

    Returns:
        `[H, width, 3]` uint8.
    """
    clip = np.nan_to_num(np.asarray(x, dtype=np.float32)).clip(0.0, 255.0).round().astype(np.uint8)
    times = np.linspace(0, clip.shape[1] - 1, min(SHOWN, clip.shape[1])).round().astype(int)
    frames = [np.pad(clip[:, t].transpose(1, 2, 0), ((0, 0), (0, 1), (0, 0))) for t in times]
    return np.concatenate(frames, axis=1)[:, :-1]
