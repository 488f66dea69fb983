"""A whole item, box by box: whether it can be read to its end, and what its values are like."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform.types import Row, Window
from ssl_platform_multispectral.read import read
from ssl_platform_multispectral.scene import READING, dump, reading_of, scene_of


def read_through(row: Row, edge: int = 1024) -> dict[str, float]:
    """Read an item to its end, box by box; statistics of all its valid values, and `valid`, their part.

    A scene that is enlarged is read in its own cells, for more of them would say no more.

    Raises:
        Unreadable: it is damaged, or holds no data at all.
    """
    row = _as_stored(row)
    low, high, total, square, count, cells = math.inf, -math.inf, 0.0, 0.0, 0, 0
    for y in range(0, row.shape[0], edge):
        for x in range(0, row.shape[1], edge):
            size = (min(edge, row.shape[0] - y), min(edge, row.shape[1] - x))
            part = read(row, Window((y, x), size))
            values = part.data if part.valid is None else part.data[:, part.valid]
            cells += part.data.size
            if values.size:
                low, high = min(low, float(values.min())), max(high, float(values.max()))
                total += float(values.sum(dtype=np.float64))
                square += float(np.square(values, dtype=np.float64).sum())
                count += values.size
    if not count:
        raise Unreadable("every cell is without data")
    mean = total / count
    deviation = math.sqrt(max(0.0, square / count - mean * mean))
    return {"min": low, "max": high, "mean": mean, "std": deviation, "valid": count / cells}


def _as_stored(row: Row) -> Row:
    """The row on the grid of its own cells where they are coarser than those of the item's."""
    scene, reading = scene_of(row), reading_of(row)
    if min(reading.step) >= 1.0:
        return row
    shape = tuple(max(1, round(cells / max(1.0, s))) for cells, s in zip(scene.box[2:], reading.step, strict=True))
    step = (max(1.0, reading.step[0]), max(1.0, reading.step[1]))
    return row.replace(shape=shape, meta={**row.meta, READING: dump(replace(reading, step=step))})
