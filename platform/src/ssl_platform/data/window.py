"""Where windows lie, and reading one from a prepared item."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssl_platform.data.prepared import Blocks, Mask, Prepared
from ssl_platform.errors import DataError
from ssl_platform.types import Layout, Part, Row, Window


def _bounds(shape: Sequence[int], size: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest start along each axis: the window inside the item, or a smaller item inside the window."""
    if len(shape) != len(size):
        raise DataError(f"a window of {len(size)} axes does not fit an item of shape {tuple(shape)}: set data.window")
    slack = np.asarray(shape) - np.asarray(size)
    return np.minimum(slack, 0), np.maximum(slack, 0)


def place_uniform(row: Row, size: Sequence[int], uniforms: np.ndarray) -> Window:
    """A window anywhere in the item, every start equally likely.

    Along an axis where the item is smaller than the window, the whole item lies in it, anywhere.

    Args:
        row: the item.
        size: cells along each spatial axis.
        uniforms: at least S numbers in `[0, 1)`; the first S are used.
    """
    low, high = _bounds(row.shape, size)
    start = low + np.floor(uniforms[: len(low)] * (high - low + 1)).astype(int)
    return Window(tuple(start.tolist()), tuple(size))


def place_center(row: Row, size: Sequence[int]) -> Window:
    """The window in the middle of the item."""
    _bounds(row.shape, size)
    return Window(tuple((n - s) // 2 for n, s in zip(row.shape, size, strict=True)), tuple(size))


def place_foreground(
    foreground: np.ndarray | None, row: Row, size: Sequence[int], uniforms: np.ndarray, probability: float
) -> Window:
    """With a probability a window that holds a random foreground cell, else one anywhere.

    The cell lies anywhere in the window, as far as the item's edges allow.

    Args:
        foreground: `[n, S]` cells, or None for none known.
        row: the item.
        size: cells along each spatial axis.
        uniforms: at least S + 2 numbers in `[0, 1)`: S for the place, one for the choice, one for the cell.
        probability: of holding a foreground cell.
    """
    rank = len(row.shape)
    if foreground is None or len(foreground) == 0 or uniforms[rank] >= probability:
        return place_uniform(row, size, uniforms)
    low, high = _bounds(row.shape, size)
    cell = foreground[int(uniforms[rank + 1] * len(foreground))]
    start = cell - np.floor(uniforms[:rank] * np.asarray(size)).astype(int)
    return Window(tuple(np.clip(start, low, high).tolist()), tuple(size))


def place_overlapping(row: Row, first: Window, uniforms: np.ndarray) -> Window:
    """A window of the size of `first` that shares at least half of it along each axis.

    Args:
        row: the item.
        first: a window of it.
        uniforms: at least S numbers in `[0, 1)`.
    """
    low, high = _bounds(row.shape, first.size)
    size, start = np.asarray(first.size), np.asarray(first.start)
    reach = size // 2
    start = start - reach + np.floor(uniforms[: len(size)] * (2 * reach + 1)).astype(int)
    return Window(tuple(np.clip(start, low, high).tolist()), first.size)


def grid_windows(row: Row, size: Sequence[int]) -> list[Window]:
    """The fewest equally spaced windows that cover the item."""
    low, high = _bounds(row.shape, size)
    starts = []
    for n, s, a, b in zip(row.shape, size, low.tolist(), high.tolist(), strict=True):
        count = max(1, -(-n // s))
        starts.append([(a + b) // 2] if count == 1 else [round(i * b / (count - 1)) for i in range(count)])
    places = np.stack(np.meshgrid(*starts, indexing="ij"), axis=-1).reshape(-1, len(starts))
    return [Window(tuple(start), tuple(size)) for start in places.tolist()]


def read_window(prepared: Prepared, row: Row, window: Window, layout: Layout) -> Part:
    """Read one window of a grid; what lies outside the item is filled and invalid.

    Args:
        prepared: the item.
        row: its row.
        window: in cells of the item's grid.
        layout: gives the fill value.

    Raises:
        DataError: the layout is of point sets, which have no windows of this kind.
    """
    if layout.points:
        raise DataError("point sets have no grid to read a window from: the domain overrides read()")
    shape, size = prepared.shape, window.size
    inside = tuple((max(a, 0), min(a + s, n)) for a, s, n in zip(window.start, size, shape, strict=True))
    whole = all(b - a == s for (a, b), s in zip(inside, size, strict=True))
    empty = any(b <= a for a, b in inside)
    if whole:
        data, valid = _take(prepared.data, inside), None
        if prepared.valid is not None:
            valid = _take_mask(prepared.valid, inside)
            valid = None if valid.all() else valid
    else:
        channels = prepared.data.shape[0]
        data = np.full((channels, *size), layout.fill, dtype=prepared.data.dtype)
        valid = np.zeros(size, dtype=bool)
        if not empty:
            place = tuple(slice(a - s, b - s) for (a, b), s in zip(inside, window.start, strict=True))
            data[(slice(None), *place)] = _take(prepared.data, inside)
            valid[place] = True if prepared.valid is None else _take_mask(prepared.valid, inside)
    spacing = prepared.spacing or row.spacing
    origin = tuple(a * s for a, s in zip(window.start, spacing or (1.0,) * len(size), strict=True))
    return Part(data, valid, prepared.channels or row.channels, tuple(spacing), origin)


def _take(data: np.ndarray | Blocks, box: tuple[tuple[int, int], ...]) -> np.ndarray:
    if isinstance(data, Blocks):
        return data.read(box)
    return data[(slice(None), *(slice(a, b) for a, b in box))].copy()


def _take_mask(valid: np.ndarray | Mask, box: tuple[tuple[int, int], ...]) -> np.ndarray:
    if isinstance(valid, Mask):
        return valid.read(box)
    return valid[tuple(slice(a, b) for a, b in box)].copy()
