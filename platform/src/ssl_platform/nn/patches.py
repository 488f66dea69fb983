"""Grids cut into patches and back, for any rank. The order inside a patch is pixel-first: cells, then channels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.errors import ConfigError
from ssl_platform.nn.constant import row
from ssl_platform.types import View


def grid_of(size: Sequence[int], patch: Sequence[int]) -> tuple[int, ...]:
    """Patches along each axis; the last one may reach beyond the view."""
    return tuple(-(-n // p) for n, p in zip(size, patch, strict=True))


def fits(size: Sequence[int], patch: Sequence[int]) -> bool:
    """Whether sizes are multiples of the patch."""
    return all(n % p == 0 for n, p in zip(size, patch, strict=True))


def check_patch(patch: Sequence[int], rank: int) -> tuple[int, ...]:
    """The patch as a tuple.

    Raises:
        ConfigError: it does not give one positive length for each of 1 to 3 axes.
    """
    sides = tuple(int(p) for p in patch)
    if not 1 <= rank <= 3 or len(sides) != rank or min(sides) < 1:
        raise ConfigError(f"backbone.patch must give one length of at least 1 for each of {rank} axes, got {sides}")
    return sides


def pad_to_patches(x: Tensor, patch: Sequence[int]) -> Tensor:
    """`[B, C, *size]` with zeros (False) after the end of each axis, up to a multiple of the patch."""
    size = x.shape[2:]
    missing = [g * p - n for g, p, n in zip(grid_of(size, patch), patch, size, strict=True)]
    if not any(missing):
        return x
    pads = [length for axis in reversed(missing) for length in (0, axis)]
    return F.pad(x, pads)


def patchify(x: Tensor, patch: Sequence[int]) -> Tensor:
    """`[B, C, *size]` to `[B, N, prod(patch) * C]`, patches in row-major order.

    Args:
        x: sizes are multiples of the patch.
        patch: cells along each axis.
    """
    b, c, *size = x.shape
    rank = len(size)
    split = [n for pair in zip(grid_of(size, patch), patch, strict=True) for n in pair]
    cut = x.reshape(b, c, *split)  # [B, C, g0, p0, g1, p1, ...]
    order = (0, *range(2, 2 + 2 * rank, 2), *range(3, 3 + 2 * rank, 2), 1)
    return cut.permute(order).reshape(b, math.prod(split[::2]), math.prod(patch) * c)


def unpatchify(values: Tensor, grid: Sequence[int], patch: Sequence[int], channels: int) -> Tensor:
    """The inverse of `patchify`: `[B, N, prod(patch) * C]` to `[B, C, *(grid * patch)]`."""
    b, rank = values.shape[0], len(grid)
    cut = values.reshape(b, *grid, *patch, channels)
    order = (0, 1 + 2 * rank, *(axis for i in range(rank) for axis in (1 + i, 1 + rank + i)))
    return cut.permute(order).reshape(b, channels, *(g * p for g, p in zip(grid, patch, strict=True)))


def crop(x: Tensor, size: Sequence[int]) -> Tensor:
    """The first `size` cells of `[B, C, *more]`."""
    return x[(slice(None), slice(None), *(slice(n) for n in size))]


def patch_coords(size: Sequence[int], patch: Sequence[int], like: Tensor) -> Tensor:
    """`[B, N, S]` patch centres in units of the view, one row expanded over the batch.

    A last patch that reaches beyond the view may have its centre there too. Coordinates are at least float32: half
    precision cannot tell neighbouring tokens of a long axis apart.

    Args:
        size: cells of the view.
        patch: cells of a patch.
        like: `[B, ...]`, gives batch, device and precision.
    """
    dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
    device, batch = like.device, like.shape[0]
    axes = [
        (torch.arange(g, dtype=dtype, device=device) + 0.5) * (p / n)
        for g, p, n in zip(grid_of(size, patch), patch, size, strict=True)
    ]
    centres = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(1, -1, len(axes))
    return centres.expand(batch, -1, -1)


def extent_of(view: View) -> Tensor:
    """`[B, S]` float32 physical size of a grid view: cells times spacing, or cells where there is no spacing."""
    cells = row(view.x.shape[2:], torch.float32, view.x.device)
    return cells.expand(view.x.shape[0], -1) if view.spacing is None else view.spacing.to(cells.dtype) * cells
