"""What columns without names are, told from their number and their values, or refused."""

from __future__ import annotations

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_pointcloud.fields import COLOUR, COORDINATES, NORMAL

_LOOK = 1000
_NAME_THEM = "name them: a header line such as x,y,z,intensity in text, named arrays in NPZ"


def columns_of(table: np.ndarray) -> tuple[str, ...]:
    """Names of the columns of `[N, C]` values without names.

    Three are x, y, z. A fourth is intensity. Of six, the last three are normals where all have length one, colours
    where all are whole numbers from 0 to 255, or lie in [0, 1] without being all alike; of seven the fourth is
    intensity and the last three are colours under the same rule, or the last is a label where it holds whole numbers
    and the three before it are normals (ShapeNetPart).

    Raises:
        Unreadable: they cannot be told apart.
    """
    width = table.shape[1]
    if width == 3:
        return COORDINATES
    if width == 4:
        return (*COORDINATES, "intensity")
    if width in (6, 7):
        last = np.asarray(table[:_LOOK, -3:], dtype=np.float64)
        kind = _triple(last)
        if kind is not None and (width == 6 or kind == COLOUR):
            return (*COORDINATES, *(("intensity",) if width == 7 else ()), *kind)
        if width == 7 and _labels(table[:_LOOK, 6]) and _triple(np.asarray(table[:_LOOK, 3:6], np.float64)) == NORMAL:
            return (*COORDINATES, *NORMAL, "label")
    raise Unreadable(f"{width} columns without names that cannot be told apart: {_NAME_THEM}")


def _labels(values: np.ndarray) -> bool:
    """Whether values can be numbers of classes."""
    return bool((values >= 0).all() and (values == np.round(values)).all())


def _triple(values: np.ndarray) -> tuple[str, ...] | None:
    values = values[np.isfinite(values).all(axis=1)]
    if not len(values):
        return None
    if (np.abs(np.linalg.norm(values, axis=1) - 1) < 0.02).mean() > 0.95:
        return NORMAL
    if values.min() >= 0 and values.max() <= 255 and (values.max() <= 1 or (values == np.round(values)).all()):
        return COLOUR
    return None
