"""Distances of tokens to random centres, the ground of every block mask.

A block is the K tokens nearest to a random centre under a scaled Chebyshev metric, so its number of tokens is exact
whatever its shape and it works on any coordinates. On a grid the metric wraps around: every token is then chosen
equally often, and the blocks are invariant under the grid's translations and reflections. Without wrapping a block is
always in one piece, but cells near a border are chosen less often (on both sides alike).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.nn.constant import row
from ssl_platform.types import Tokens

_TIE = 1e-3  # of a token's size: the most that random tie-breaking moves a distance


def places(tokens: Tokens) -> tuple[Tensor, Tensor | None]:
    """Token positions in units of a token, and the period of each axis.

    Returns:
        `[B or 1, N, S]` positions, and `[S]` cells along each axis for grids, else None.
    """
    if tokens.grid is None:
        # Sets: a token's size is that of one of N equal cubes.
        return tokens.coords.float() * tokens.count ** (1.0 / tokens.coords.shape[-1]), None
    device = tokens.coords.device
    axes = torch.meshgrid(*[torch.arange(n, dtype=torch.float32, device=device) for n in tokens.grid], indexing="ij")
    period = row(tokens.grid, torch.float32, device)
    return torch.stack(axes, dim=-1).reshape(1, -1, len(tokens.grid)) + 0.5, period


def centres(tokens: Tokens, draws: Draws, name: str, blocks: int) -> Tensor:
    """`[B, M, S]` random centres: anywhere in the cell of a random valid token (at the token itself in sets)."""
    position, period = places(tokens)
    b = len(draws)
    key = draws.uniform(f"{name}/centre", blocks, tokens.count)
    if tokens.valid is not None:
        key = torch.where(tokens.valid[:, None], key, key - 2.0)
    chosen = key.argmax(dim=-1)
    spread = position.expand(b, -1, -1)
    centre = spread.gather(1, chosen[..., None].expand(-1, -1, position.shape[-1]))
    if period is None:
        return centre
    return centre + draws.uniform(f"{name}/offset", blocks, position.shape[-1], low=-0.5, high=0.5)


def stretch(draws: Draws, name: str, blocks: int, rank: int, aspect: tuple[float, float]) -> Tensor:
    """`[B, M, S]` relative widths of the blocks along each axis, with product 1.

    In the plane the ratio of the two widths is log-uniform in `aspect`; in other ranks each axis draws its own.
    """
    low, high = math.log(aspect[0]), math.log(aspect[1])
    if rank == 1 or low == high == 0.0:
        return torch.ones(len(draws), blocks, rank, device=draws.keys.device)
    if rank == 2:
        half = draws.uniform(f"{name}/aspect", blocks, low=low / 2, high=high / 2)
        return torch.stack([half, -half], dim=-1).exp()
    log = draws.uniform(f"{name}/aspect", blocks, rank, low=low, high=high)
    return (log - log.mean(dim=-1, keepdim=True)).exp()


def block_distance(
    tokens: Tokens,
    draws: Draws,
    name: str,
    blocks: int,
    aspect: tuple[float, float] = (1.0, 1.0),
    wrap: bool = True,
) -> Tensor:
    """Scaled Chebyshev distance of every token to each of M random centres, ties broken at random.

    Args:
        tokens: coordinates, grid and validity.
        draws: the samples' random streams.
        name: of the draws.
        blocks: M.
        aspect: range of the ratio of a block's sides.
        wrap: whether a grid's opposite borders touch; sets never wrap.

    Returns:
        `[B, M, N]`, in units of a token; infinite for invalid tokens.
    """
    position, period = places(tokens)
    centre = centres(tokens, draws, name, blocks)
    apart = (position[:, None] - centre[:, :, None]).abs()  # [B, M, N, S]
    if wrap and period is not None:
        apart = torch.minimum(apart, (period - apart).abs())
    width = stretch(draws, name, blocks, position.shape[-1], aspect)
    distance = (apart / width[:, :, None]).amax(dim=-1)
    distance = distance + draws.uniform(f"{name}/tie", blocks, tokens.count, high=_TIE)
    return distance if tokens.valid is None else distance.masked_fill(~tokens.valid[:, None], torch.inf)
