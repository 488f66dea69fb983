"""A volume as radiologists look at it: three orthogonal slices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SOFT_TISSUE = (-160.0, 240.0)
"""HU shown as black and as white where nobody chose a window: width 400, level 40."""
_HOUNSFIELD = 10.0
"""Values beyond this are HU; normalised ones stay far below."""
_SEEN = 0.02


def window_of(x: np.ndarray, channels: Sequence[str], chosen: tuple[float, float] | None) -> tuple[float, float] | None:
    """The window a volume is shown in: HU have one, everything else is stretched between its percentiles.

    Args:
        x: `[C, D, H, W]`.
        channels: their names.
        chosen: window the user asked for, or None.

    Returns:
        None for a stretch: the values are no HU (another modality, or normalised), or hardly any lies in the window.
    """
    values = np.nan_to_num(np.asarray(x[0], dtype=np.float32))
    if not channels or channels[0].split("-")[0] != "ct" or not np.abs(values).max(initial=0.0) > _HOUNSFIELD:
        return None
    low, high = chosen or SOFT_TISSUE
    return (low, high) if ((values > low) & (values < high)).mean() >= _SEEN else None


def render(x: np.ndarray, window: tuple[float, float] | None) -> np.ndarray:
    """Axial, coronal and sagittal middle slices side by side.

    Radiological convention: the front (axial) or the head (the others) is up, the patient's right is on the left.

    Args:
        x: `[C, D, H, W]`; the first channel is shown.
        window: values shown as black and white; None takes the 1st and 99th percentile.

    Returns:
        `[height, width]` uint8.
    """
    volume = np.asarray(x[0], dtype=np.float32)
    finite = volume[np.isfinite(volume)]
    if window is None and finite.size:
        low, high = (float(v) for v in np.percentile(finite, (1.0, 99.0)))
    else:
        low, high = window or (0.0, 1.0)
    grey = np.nan_to_num((volume - low) / max(high - low, 1e-6)).clip(0.0, 1.0)
    d, h, w = volume.shape
    planes = (grey[d // 2, ::-1, ::-1], grey[::-1, h // 2, ::-1], grey[::-1, ::-1, w // 2])
    height = max(plane.shape[0] for plane in planes)
    padded = [np.pad(plane, ((0, height - plane.shape[0]), (0, 1))) for plane in planes]
    return np.asarray((np.concatenate(padded, axis=1)[:, :-1] * 255.0).round().astype(np.uint8))
