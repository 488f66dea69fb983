"""Where windows are worth reading: the body, not the air around it."""

from __future__ import annotations

import numpy as np

from ssl_platform_medical3d.intensity import is_hounsfield

_AIR_LIMIT = -500.0
_COARSE = 40
_MOST_POSITIONS = 2048


def positions(data: np.ndarray, valid: np.ndarray | None, modality: str | None) -> tuple[np.ndarray | None, float]:
    """Cells sampled from the foreground of a prepared volume.

    A coarse grid of at most 40 cells along an axis is thresholded: CT at -500 HU (the largest piece, so not the
    table, with its cavities such as lungs), others by Otsu's method (Otsu, 1979).

    Args:
        data: `[C, D, H, W]`; the first channel decides.
        valid: `[D, H, W]` bool or None.
        modality: `ct` or another.

    Returns:
        `[n, 3]` int32 cells, n at most 2048, or None where foreground is nearly all or next to nothing; and the
        fraction of the volume that is foreground.
    """
    stride = tuple(max(1, -(-size // _COARSE)) for size in data.shape[1:])
    cells = tuple(slice(step // 2, None, step) for step in stride)
    coarse = data[0][cells].astype(np.float32)
    known = np.ones(coarse.shape, bool) if valid is None else valid[cells]
    if not known.any():
        return None, 0.0
    body = is_hounsfield(modality)
    mask = known & (coarse > (_AIR_LIMIT if body else otsu(coarse[known])))
    mask = _body(mask) if body else mask
    fraction = float(mask.mean())
    if not 0.002 < fraction < 0.95:
        return None, fraction
    chosen = np.argwhere(mask)
    if len(chosen) > _MOST_POSITIONS:
        chosen = chosen[np.random.default_rng(0).choice(len(chosen), _MOST_POSITIONS, replace=False)]
    offset = np.array([step // 2 for step in stride])
    return (chosen * np.array(stride) + offset).astype(np.int32), fraction


def _body(mask: np.ndarray) -> np.ndarray:
    """The largest connected piece, with the cavities that axial slices enclose."""
    from scipy import ndimage

    pieces, count = ndimage.label(mask)
    if count == 0:
        return mask
    largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    return np.stack([ndimage.binary_fill_holes(plane) for plane in largest])


def otsu(values: np.ndarray, bins: int = 128) -> float:
    """The threshold that best splits values into two classes (largest variance between them)."""
    counts, edges = np.histogram(values, bins=bins)
    centres = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()
    above = below[-1] - below
    total = (counts * centres).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (total / below - (total[-1] - total) / above) ** 2
    between = np.where(np.isfinite(between), between, -1.0)
    # Between well separated modes every threshold is as good: take the middle.
    return float(centres[between >= between.max() * (1.0 - 1e-9)].mean())
