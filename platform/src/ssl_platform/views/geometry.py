"""How views of one item lie to each other: inverse maps, composition, overlap and coverage.

Everything here is elementwise float32 (no matrix product), so neither autocast nor TF32 can blur coordinates.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import torch
from torch import Tensor

from ssl_platform.types import Geometry

_ALIGNED = 1e-4  # a relative matrix whose other entries are below this fraction of the largest is axis-aligned


def transform(matrix: Tensor, offset: Tensor, points: Tensor) -> Tensor:
    """`matrix @ p + offset` for `[B, N, S]` points, `[B, S, S]` matrices and `[B, S]` offsets."""
    return (points[:, :, None, :] * matrix[:, None]).sum(-1) + offset[:, None, :]


def product(first: Tensor, second: Tensor) -> Tensor:
    """`first @ second` for small `[B, S, S]` matrices, in full float32 whatever the precision settings."""
    return (first[:, :, :, None] * second[:, None]).sum(2)


def from_source(geometry: Geometry, points: Tensor) -> Tensor:
    """Map `[B, N, S]` source coordinates to view coordinates (outside `[0, 1]` beyond the view)."""
    inverse = torch.linalg.inv_ex(geometry.matrix).inverse
    return transform(inverse, torch.zeros_like(geometry.offset), points - geometry.offset[:, None, :])


def relative(inner: Geometry, outer: Geometry) -> tuple[Tensor, Tensor]:
    """The map from `inner`'s view coordinates to `outer`'s: `[B, S, S]` matrix and `[B, S]` offset."""
    inverse = torch.linalg.inv_ex(outer.matrix).inverse
    matrix = product(inverse, inner.matrix)
    return matrix, (inverse * (inner.offset - outer.offset)[:, None, :]).sum(-1)


def compose(outer: Geometry, matrix: Tensor, offset: Tensor) -> Geometry:
    """Geometry of a view cut from a view.

    Args:
        outer: where the outer view came from.
        matrix, offset: `[B, S, S]` and `[B, S]`, from the inner view's coordinates to the outer's.
    """
    moved = (outer.matrix * offset[:, None, :]).sum(-1) + outer.offset
    return Geometry(product(outer.matrix, matrix), moved, outer.item)


def overlap(view: Geometry, other: Geometry, *, samples: int | None = None) -> Tensor:
    """`[B]` fraction of `view`'s extent that `other` covers, 0 for unlike items.

    Exact where the views are axis-aligned to each other (flips and quarter turns included), else measured on a
    regular grid of sample points (error below 0.03 with the default number).

    Args:
        view: the view asked about.
        other: the view that covers it.
        samples: points along each axis for oblique views; 0 where the caller knows that none is.
    """
    rank = view.matrix.shape[-1]
    if samples is None:
        samples = 32 if rank < 3 else 12
    return coverage(view, other, (1,) * rank, samples)[:, 0]


def coverage(view: Geometry, other: Geometry, grid: tuple[int, ...], samples: int = 4) -> Tensor:
    """`[B, prod(grid)]` fraction of each cell of `view`'s `grid` that `other` covers, 0 for unlike items.

    Args:
        view: the view whose cells are asked about.
        other: the view that covers them.
        grid: cells along each axis; the result is in row-major order.
        samples: points along each axis of a cell where the views are oblique to each other (the rest is exact); 0
            where the caller knows that none is.
    """
    matrix, offset = relative(view, other)
    low, high = _cells(grid, matrix.device)
    fraction = _aligned_coverage(matrix, offset, low, high)
    if samples:
        size = matrix.abs()
        largest = size.amax(-1)
        aligned = ((size.sum(-1) - largest) <= _ALIGNED * largest).all(-1)
        sampled = _sampled_coverage(matrix, offset, low, high, samples)
        fraction = torch.where(aligned[:, None], fraction, sampled)
    return torch.where((view.item == other.item)[:, None], fraction, torch.zeros_like(fraction))


def _aligned_coverage(matrix: Tensor, offset: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Covered fraction of boxes `[N, S]` whose images under the map are boxes too."""
    positive, negative = matrix.clamp(min=0), matrix.clamp(max=0)
    rows = len(matrix)
    low, high = low.expand(rows, -1, -1), high.expand(rows, -1, -1)
    zero = torch.zeros_like(offset)
    start = transform(positive, offset, low) + transform(negative, zero, high)
    end = transform(positive, offset, high) + transform(negative, zero, low)
    inside = (end.clamp(0, 1) - start.clamp(0, 1)) / (end - start).clamp(min=1e-12)
    return inside.prod(-1).clamp(0, 1)


def _sampled_coverage(matrix: Tensor, offset: Tensor, low: Tensor, high: Tensor, samples: int) -> Tensor:
    """Covered fraction of boxes `[N, S]` from `samples ** S` points in each."""
    within = _points(samples, low.shape[-1], low.device)
    points = low[:, None] + (high - low)[:, None] * within  # [N, P, S]
    mapped = transform(matrix, offset, points.flatten(0, 1).expand(len(matrix), -1, -1))
    inside = ((mapped >= 0) & (mapped <= 1)).all(-1)
    return inside.view(len(matrix), len(low), -1).float().mean(-1)


@lru_cache(maxsize=64)
def _cells(grid: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Lower and upper corners `[prod(grid), S]` of the cells of a grid over `[0, 1]^S`."""
    index = torch.tensor(list(itertools.product(*(range(n) for n in grid))), dtype=torch.float32)
    size = torch.tensor(grid, dtype=torch.float32)
    return (index / size).to(device), ((index + 1) / size).to(device)


@lru_cache(maxsize=64)
def _points(samples: int, rank: int, device: torch.device) -> Tensor:
    """Cell-centred points `[samples ** S, S]` in `[0, 1]^S`."""
    low, high = _cells((samples,) * rank, device)
    return (low + high) / 2
