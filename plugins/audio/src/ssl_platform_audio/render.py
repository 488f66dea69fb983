"""A spectrogram as its people look at it."""

from __future__ import annotations

import numpy as np

_RANGE_DB = 80.0
_STOPS = np.array(  # dark to bright, of rising lightness, so that it also reads in grey
    [[0, 0, 8], [48, 16, 92], [138, 34, 106], [220, 72, 72], [252, 156, 52], [252, 252, 180]], dtype=np.float32
)


def render(x: np.ndarray) -> np.ndarray:
    """Low frequencies at the bottom, the loudest 80 dB from dark to bright.

    Args:
        x: `[1, F, T]` natural logarithms of power; what is not finite is black.

    Returns:
        `[F, T, 3]` uint8.
    """
    values = np.asarray(x[0], dtype=np.float32)[::-1]
    finite = values[np.isfinite(values)]
    top = float(np.percentile(finite, 99.8)) if finite.size else 0.0
    bottom = max(top - _RANGE_DB * np.log(10.0) / 10.0, float(finite.min()) if finite.size else -1.0)
    level = np.nan_to_num((values - bottom) / max(top - bottom, 1e-6), nan=0.0, posinf=1.0, neginf=0.0).clip(0.0, 1.0)
    at = level * (len(_STOPS) - 1)
    low = np.minimum(at.astype(np.int64), len(_STOPS) - 2)
    share = (at - low)[..., None]
    return np.asarray((_STOPS[low] * (1 - share) + _STOPS[low + 1] * share).round().astype(np.uint8))
