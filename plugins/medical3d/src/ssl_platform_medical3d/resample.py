"""Change of spacing along the axes of a volume.

Grids share their outer edge: cell `o` of the new grid has its centre at `(o + 0.5) * step - 0.5` in the old one, where
`step` is new over old spacing. Images are interpolated linearly and averaged over the new cell where cells grow, so
thin structures do not alias; masks take the nearest cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ssl_platform.errors import Unreadable

# Spacings closer than this (relative) count as equal: headers store float32.
_EQUAL = 1e-3
_MAX_CELLS = 2**31
_FEW, _FLAT = 4, 2  # a volume of this many slices does not become one of fewer than two


def target_grid(
    shape: Sequence[int], spacing: Sequence[float], target: Sequence[float] | None
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Shape and spacing after resampling to `target` mm (None keeps the grid), in the same axis order.

    Raises:
        Unreadable: the new grid would have 2^31 cells or more, or a single slice: its spacing is in another unit.
    """
    if target is None:
        return tuple(shape), tuple(float(s) for s in spacing)
    new_shape, new_spacing = [], []
    for size, old, new in zip(shape, spacing, target, strict=True):
        same = abs(new / old - 1.0) < _EQUAL
        new_shape.append(int(size) if same else max(1, round(size * old / new)))
        new_spacing.append(float(old if same else new))
    shrunk = any(size >= _FEW and new < _FLAT for size, new in zip(shape, new_shape, strict=True))
    if shrunk or np.prod(new_shape, dtype=np.float64) >= _MAX_CELLS:
        cells, own = "x".join(map(str, new_shape)), "x".join(f"{mm:.4g}" for mm in spacing)
        raise Unreadable(
            f"would be {cells} voxels at {tuple(target)} mm: are its voxels really {own} mm? "
            "a manifest column 'spacing' overrules the header"
        )
    return tuple(new_shape), tuple(new_spacing)


def _hat_integral(t: np.ndarray) -> np.ndarray:
    """Integral of the linear interpolation kernel (1 at 0, 0 beyond 1) from minus infinity to `t`."""
    t = t.clip(-1.0, 1.0)
    return np.where(t < 0, (t + 1.0) ** 2 / 2.0, 1.0 - (1.0 - t) ** 2 / 2.0)


@lru_cache(maxsize=64)
def _linear_weights(size: int, new_size: int, step: float) -> Any:
    """Sparse `[new_size, size]` float32 matrix; rows sum to one, values beyond the edge are those of the edge.

    Cells that grow get the mean of the interpolated line over a box of `step - 1` cells, which is exact for ramps at
    any ratio; cells that shrink get the line itself.
    """
    from scipy.sparse import csr_matrix

    centre = ((np.arange(new_size) + 0.5) * step - 0.5)[:, None]
    box = max(0.0, step - 1.0)
    columns = np.floor(centre - box / 2).astype(int) + np.arange(int(np.ceil(box)) + 2)
    if box > 1e-6:
        weights = (_hat_integral(centre + box / 2 - columns) - _hat_integral(centre - box / 2 - columns)) / box
    else:
        weights = np.maximum(0.0, 1.0 - np.abs(columns - centre))
    rows = np.repeat(np.arange(new_size), columns.shape[1])
    place = (rows, columns.clip(0, size - 1).ravel())
    return csr_matrix((weights.ravel().astype(np.float32), place), (new_size, size))


def _along(volume: np.ndarray, axis: int, new_size: int, step: float) -> np.ndarray:
    moved = np.moveaxis(volume, axis, 0)
    flat = np.ascontiguousarray(moved).reshape(moved.shape[0], -1)
    out = np.asarray(_linear_weights(moved.shape[0], new_size, round(step, 9)) @ flat)
    return np.moveaxis(out.reshape(new_size, *moved.shape[1:]), 0, axis)


def resample_linear(volume: np.ndarray, shape: Sequence[int], steps: Sequence[float]) -> np.ndarray:
    """Interpolate `[..., D, H, W]` to `[..., *shape]` float32.

    Args:
        volume: values, all finite.
        shape: cells of the new grid along D, H, W.
        steps: new over old spacing along D, H, W; 1 leaves an axis whose size does not change as it is.
    """
    out = np.asarray(volume, dtype=np.float32)
    lead = out.ndim - 3
    # Axes that shrink go first: the ones after them then have less to do.
    for axis in sorted(range(3), key=lambda a: shape[a] / out.shape[lead + a]):
        if steps[axis] != 1.0 or shape[axis] != out.shape[lead + axis]:
            out = _along(out, lead + axis, shape[axis], steps[axis])
    return out


def resample_valid(
    volume: np.ndarray, valid: np.ndarray | None, shape: Sequence[int], steps: Sequence[float]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Interpolate `[C, D, H, W]` from its valid cells only.

    Args:
        volume: values; those of invalid cells are not used.
        valid: `[D, H, W]` bool, or None when all are valid.
        shape: cells of the new grid.
        steps: new over old spacing.

    Returns:
        values `[C, *shape]` float32 (0 where invalid), and validity: at least half of a cell's weight was valid.
    """
    if valid is None:
        return resample_linear(volume, shape, steps), None
    weight = resample_linear(valid.astype(np.float32), shape, steps)
    total = resample_linear(np.where(valid, volume, 0.0), shape, steps)
    new_valid = weight >= 0.5
    return np.where(new_valid, total / np.maximum(weight, 1e-6), 0.0).astype(np.float32), new_valid


def resample_nearest(labels: np.ndarray, shape: Sequence[int], steps: Sequence[float]) -> np.ndarray:
    """Take the nearest cell of `[D, H, W]` labels: `[*shape]` of the same dtype."""
    index = []
    for size, new_size, step in zip(labels.shape, shape, steps, strict=True):
        centre = (np.arange(new_size) + 0.5) * step - 0.5
        index.append(np.rint(centre).astype(int).clip(0, size - 1))
    return np.asarray(labels[np.ix_(*index)])
