"""Masks of coarse units: boxes of tokens that are masked together, whatever the size of a token is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.errors import ConfigError
from ssl_platform.masking.hold import any_valid, hold
from ssl_platform.masking.mask import Split
from ssl_platform.masking.random import random_masks
from ssl_platform.types import Tokens


def unit_masks(
    tokens: Tokens, ratio: float, draws: Draws, unit: Sequence[int], grid: Sequence[int] | None = None
) -> Split:
    """Mask a random subset of units, `ceil(ratio * units)` of them (SimMIM: Xie et al., 2022).

    Where the grid is no multiple of the unit, the last units of an axis are smaller.

    Args:
        tokens: the tokens to choose from.
        ratio: fraction of the units masked, in (0, 1).
        draws: the samples' random streams.
        unit: tokens of a unit along each axis.
        grid: of the tokens' places, for tokens of several kinds (one kind after another, each on this grid), which are
            masked together; None: the tokens' own.

    Raises:
        ConfigError: the tokens lie on no grid.
    """
    grid = grid or tokens.grid
    if grid is None or tokens.count % math.prod(grid):
        raise ConfigError("unit masks need tokens on a grid, these are a set: use random or block masks")
    units = [-(-g // u) for g, u in zip(grid, unit, strict=True)]
    kinds = tokens.count // math.prod(grid)
    place = unit_of(grid, unit, tokens.count, tokens.values.device)
    count = math.prod(units)
    valid = None if tokens.valid is None else any_valid(tokens.valid, place, count)
    stand_in = Tokens(tokens.values[:, :1].expand(-1, count, -1), tokens.coords[:, :1], tokens.extent, None, valid)
    split = random_masks(stand_in, ratio, draws)
    even = all(g % u == 0 for g, u in zip(grid, unit, strict=True))
    return hold(split, place, tokens, math.prod(unit) * kinds, even)


def unit_tokens(cells: int, patch: Sequence[int], grid: Sequence[int], least: int = 6) -> tuple[int, ...]:
    """Tokens of a unit along each axis: those of `cells` cells, or fewer where a view would have too few units.

    Args:
        cells: of a unit along each axis.
        patch: cells of a token along each axis.
        grid: tokens of a view along each axis.
        least: units a view should have along each axis, if its tokens suffice (the published 192 pixels have 6).
    """
    return tuple(max(1, min(round(cells / p), g // least)) for p, g in zip(patch, grid, strict=True))


def unit_of(grid: Sequence[int], unit: Sequence[int], count: int, device: torch.device) -> Tensor:
    """`[count]` row-major number of the unit each token lies in, the same for tokens of several kinds.

    Args:
        grid: of the tokens' places.
        unit: tokens of a unit along each axis.
        count: number of tokens, a multiple of the grid's.
        device: of the result.
    """
    number = torch.zeros(1, dtype=torch.long, device=device)
    for g, u in zip(grid, unit, strict=True):
        along = torch.arange(g, device=device).div(u, rounding_mode="floor")
        number = (number[:, None] * -(-g // u) + along[None, :]).flatten()
    return number.repeat(count // math.prod(grid))
