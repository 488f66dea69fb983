"""Masks that are constant along some axes: tubes through time, whole time steps or frequency bands."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.errors import ConfigError
from ssl_platform.masking.hold import any_valid, hold
from ssl_platform.masking.mask import Split
from ssl_platform.masking.random import random_masks
from ssl_platform.types import Tokens


def tube_masks(
    tokens: Tokens,
    ratio: float,
    draws: Draws,
    *,
    axes: tuple[int, ...] = (0,),
    policy: Callable[..., Split] = random_masks,
    **settings: Any,
) -> Split:
    """Draw a mask over the other axes and hold it along `axes` (VideoMAE: Tong et al., 2022).

    With the time axis in `axes` this masks tubes; on a spectrogram, holding it along frequency masks whole time steps
    and along time whole bands.

    Args:
        tokens: tokens on a grid.
        ratio: fraction of the places masked, in (0, 1).
        draws: the samples' random streams.
        axes: axes along which the mask is constant.
        policy: what draws the mask over places: `random_masks`, `block_masks`...
        **settings: of that policy.

    Raises:
        ConfigError: the tokens have no grid, or no axis is left to draw over.
    """
    if tokens.grid is None:
        raise ConfigError("tube masks need tokens on a grid, these are a set: use random or block masks")
    rank = len(tokens.grid)
    held = {axis % rank for axis in axes}
    left = [axis for axis in range(rank) if axis not in held]
    if not left or len(held) != len(axes):
        raise ConfigError(f"tube masks need some axis left of grid {tokens.grid}, held are {sorted(held)}")
    length = math.prod(tokens.grid[axis] for axis in held)

    place = _place_of(tokens.grid, left, tokens.values.device)  # [N]
    split = policy(_places(tokens, left, place), ratio, draws, **settings)
    return hold(split, place, tokens, length)


def _place_of(grid: tuple[int, ...], left: list[int], device: torch.device) -> Tensor:
    """`[N]` row-major number of each token's place among the axes that are left."""
    axes = torch.meshgrid(*[torch.arange(n, device=device) for n in grid], indexing="ij")
    place = torch.zeros_like(axes[0])
    for axis in left:
        place = place * grid[axis] + axes[axis]
    return place.flatten()


def _places(tokens: Tokens, left: list[int], place: Tensor) -> Tokens:
    """One token a place: valid where any token of the place is."""
    assert tokens.grid is not None
    grid = tuple(tokens.grid[axis] for axis in left)
    count = math.prod(grid)
    first = torch.zeros(count, dtype=torch.long, device=place.device)
    first[place] = torch.arange(len(place), device=place.device)  # any token of the place serves for its coordinates
    valid = None if tokens.valid is None else any_valid(tokens.valid, place, count)
    coords = tokens.coords[:, first][..., left]
    return Tokens(tokens.values[:, :count], coords, tokens.extent[:, left], grid, valid)
