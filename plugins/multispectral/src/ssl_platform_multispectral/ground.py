"""Where windows of a scene may begin so that their middle lies on ground that no other scene gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ssl_platform.types import Row, Window
from ssl_platform_multispectral.grid import Bounds, transform_of
from ssl_platform_multispectral.scene import reading_of, scene_of


@dataclass(frozen=True)
class Starts:
    """First cells of windows, as boxes that do not meet.

    Attributes:
        boxes: `[n, 4]` first and last cell along y, then along x; the last ones are included.
    """

    boxes: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """`[n]` starts in each box."""
        return np.asarray((self.boxes[:, 1] - self.boxes[:, 0] + 1) * (self.boxes[:, 3] - self.boxes[:, 2] + 1))

    def __len__(self) -> int:
        return int(self.counts.sum())

    def at(self, u: float, size: Sequence[int]) -> Window:
        """The window at a number in `[0, 1)`; every start is equally likely."""
        ends = np.cumsum(self.counts)
        rank = int(u * ends[-1])
        box = int(np.searchsorted(ends, rank, side="right"))
        top, _, left, right = self.boxes[box].tolist()
        down, across = divmod(rank - int(ends[box] - self.counts[box]), right - left + 1)
        return Window((top + down, left + across), (size[0], size[1]))


def free_starts(row: Row, size: Sequence[int], taken: Sequence[Bounds]) -> Starts:
    """Starts of windows inside the item whose middle lies in none of the boxes.

    Args:
        row: fitted.
        size: cells along y and x.
        taken: `(left, bottom, right, top)` in the row's coordinate system.
    """
    a, _, west, _, e, north = transform_of(scene_of(row), reading_of(row).step)
    limits = [(min(0, n - s), max(0, n - s) + 1) for n, s in zip(row.shape, size, strict=True)]  # the last is left out
    given = []
    for left, bottom, right, top in taken:
        ys = [math.ceil((y - north) / e - size[0] / 2) for y in (top, bottom)]
        xs = [math.ceil((x - west) / a - size[1] / 2) for x in (left, right)]
        given.append((*ys, *xs))
    y_cuts, x_cuts = (
        np.unique(np.clip([*limit, *(v for box in given for v in box[2 * axis : 2 * axis + 2])], *limit))
        for axis, limit in enumerate(limits)
    )
    free = np.ones((len(y_cuts) - 1, len(x_cuts) - 1), bool)
    for y0, y1, x0, x1 in given:
        down = (y_cuts[:-1] >= y0) & (y_cuts[:-1] < y1)
        free[np.ix_(down, (x_cuts[:-1] >= x0) & (x_cuts[:-1] < x1))] = False
    y, x = np.nonzero(free)
    return Starts(np.stack([y_cuts[y], y_cuts[y + 1] - 1, x_cuts[x], x_cuts[x + 1] - 1], axis=1))
