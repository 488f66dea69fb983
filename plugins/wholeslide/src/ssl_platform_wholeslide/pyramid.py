"""A slide as one grid at a given scale, whatever levels its pyramid has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_wholeslide.slides import Region, Slide

SAME_SCALE = 0.03
"""A level this near to the scale asked for is read as it is: 20x scanners differ by more (0.4990 to 0.5040)."""
_TRIANGLE = 1.0  # radius of the resampling filter, in cells of the coarser grid

Mpp = tuple[float, float]


@dataclass(frozen=True)
class Grid:
    """The grid windows of a slide are read from.

    Attributes:
        shape: cells along y and x.
        mpp: microns of a cell along y and x.
        level: of the pyramid it is read from, the coarsest that is not coarser than the grid.
        ratio: pixels of that level to a cell along y and x; 1 where a level is read as it is.
    """

    shape: tuple[int, int]
    mpp: Mpp
    level: int
    ratio: tuple[float, float]

    @property
    def exact(self) -> bool:
        """Whether cells are pixels of the level."""
        return self.ratio == (1.0, 1.0)


def grid_of(levels: Sequence[tuple[int, int]], downsamples: Sequence[float], native: Mpp, target: float | None) -> Grid:
    """The grid of a slide at `target` microns a pixel, of its finest level where that is None.

    Args:
        levels: `(height, width)` of each level.
        downsamples: of each level against the first.
        native: microns a pixel of the first level along y and x.
        target: microns a cell.

    Raises:
        Unreadable: the slide is coarser than asked for.
    """
    if target is None:
        return Grid(levels[0], native, 0, (1.0, 1.0))
    if max(native) > target * (1 + SAME_SCALE):
        raise Unreadable(
            f"its finest level has {max(native):.4g} um a pixel, coarser than data.mpp={target:g}: "
            f"set data.mpp={max(native):.4g} or leave it out"
        )
    for level, step in enumerate(downsamples):
        mpp = (native[0] * step, native[1] * step)
        if all(abs(value / target - 1) <= SAME_SCALE for value in mpp):
            return Grid(levels[level], mpp, level, (1.0, 1.0))
    cells = (target / native[0], target / native[1])  # pixels of the first level to a cell
    level = max(i for i, step in enumerate(downsamples) if step <= min(cells) * (1 + SAME_SCALE))
    shape = tuple(max(1, int(n / cell + 1e-6)) for n, cell in zip(levels[0], cells, strict=True))
    ratio = tuple(cell / downsamples[level] for cell in cells)
    return Grid((shape[0], shape[1]), (target, target), level, (ratio[0], ratio[1]))


def aligned(start: int, size: int, ratio: float, tile: int) -> int:
    """The start of a window along an axis, moved by less than a tile so that it crosses as few tiles as it can.

    Starts that were equally likely stay so among those that are left.

    Args:
        start, size: of the window in cells.
        ratio: pixels to a cell.
        tile: pixels of a tile.
    """
    margin = 0.0 if ratio.is_integer() else _TRIANGLE * ratio + 1.0
    span = size * ratio + 2 * margin
    slack = -(-span // tile) * tile - span
    first = start * ratio // tile * tile  # of the tile the window starts in
    low, high = int(np.ceil((first + margin) / ratio - 1e-9)), int((first + margin + slack) / ratio + 1e-9)
    if high < low:
        return start
    return low + int((start * ratio - first) / tile * (high - low + 1))


def read_box(slide: Slide, grid: Grid, start: tuple[int, int], size: tuple[int, int]) -> Region:
    """Cells of a box that lies within the grid; resampled with a triangle filter, or averaged where cells
    are whole numbers of pixels, so no detail is aliased.

    Only the pixels under the box are read, with the margin the filter reaches. What was not scanned is white and
    marked.

    Raises:
        Unreadable: the pixels cannot be decoded.
    """
    if grid.exact:
        return slide.read(grid.level, *start, *size).whitened()
    if all(r.is_integer() for r in grid.ratio):
        return _averaged(slide, grid, start, size)
    from PIL import Image

    level = slide.header.levels[grid.level]
    low = [max(0, int((a - _TRIANGLE) * r)) for a, r in zip(start, grid.ratio, strict=True)]
    ends = zip(start, size, grid.ratio, level, strict=True)
    high = [min(n, int(np.ceil((a + s + _TRIANGLE) * r))) for a, s, r, n in ends]
    region = slide.read(grid.level, low[0], low[1], high[0] - low[0], high[1] - low[1]).whitened()
    edges = [(a * r - b, (a + s) * r - b) for a, s, r, b in zip(start, size, grid.ratio, low, strict=True)]
    edges = [(first, min(last, float(h - b))) for (first, last), h, b in zip(edges, high, low, strict=True)]
    box = (edges[1][0], edges[0][0], edges[1][1], edges[0][1])

    wanted, method = (size[1], size[0]), Image.Resampling.BILINEAR
    present = region.present
    if present is not None:
        there = Image.fromarray(present.astype(np.uint8) * 255)
        present = np.asarray(there.resize(wanted, method, box)) > 127
    return Region(np.asarray(region.image().resize(wanted, method, box)), present)


def _averaged(slide: Slide, grid: Grid, start: tuple[int, int], size: tuple[int, int]) -> Region:
    """Cells that are whole numbers of pixels: their means."""
    steps = (int(grid.ratio[0]), int(grid.ratio[1]))
    box = [a * r for a, r in zip(start, steps, strict=True)] + [s * r for s, r in zip(size, steps, strict=True)]
    region = slide.read(grid.level, *box).whitened()
    present = region.present
    if present is not None:
        present = present.reshape(size[0], steps[0], size[1], steps[1]).mean(axis=(1, 3)) > 0.5
    return Region(np.asarray(region.image().reduce(steps[::-1])), present)
