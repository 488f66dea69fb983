"""A volume as radiologists look at it: three orthogonal slices."""

from __future__ import annotations

import numpy as np


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
