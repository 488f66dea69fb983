"""Multi-block masks: several target blocks and one context block, disjoint (I-JEPA: Assran et al., 2023).

Departures from the published collator, which never uses the last row and column and cuts sorted lists: numbers of
tokens are fixed by the grid, not by the worst sample of a batch; blocks wrap around the grid, so every token is a
target and a context token equally often; surplus context tokens are dropped at random.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from ssl_platform.draws import Draws
from ssl_platform.errors import ConfigError
from ssl_platform.masking.metric import block_distance
from ssl_platform.types import Mask, Tokens


class MultiBlock(NamedTuple):
    """A context and what is predicted from it.

    Attributes:
        context: `[B, K]`.
        targets: `[B, M, T]`, disjoint from the context (they may overlap one another).
    """

    context: Mask
    targets: Mask


def block_sizes(
    total: int, targets: int, target_scale: tuple[float, float], context_scale: tuple[float, float], keep: float | None
) -> tuple[int, int, int]:
    """Tokens of a target block, of the context block, and of the context that is kept.

    Blocks have the mean of their range of scales. What is kept by default is what remains for certain when no two
    targets overlap, but at least a tenth of the tokens.

    Raises:
        ConfigError: too few tokens.
    """
    if total < 8:
        raise ConfigError(
            f"multi-block masks need at least 8 tokens a view, got {total}: larger views, smaller patches"
        )
    target = max(1, round(total * sum(target_scale) / 2))
    block = min(total, round(total * sum(context_scale) / 2))
    if keep is not None:
        return target, block, max(1, round(total * keep))
    return target, block, max(block - targets * target, round(0.1 * total), 1)


def multi_block_masks(
    tokens: Tokens,
    draws: Draws,
    targets: int = 4,
    target_scale: tuple[float, float] = (0.15, 0.2),
    target_aspect: tuple[float, float] = (0.75, 1.5),
    context_scale: tuple[float, float] = (0.85, 1.0),
    *,
    keep: float | None = None,
    wrap: bool = True,
) -> MultiBlock:
    """Draw target blocks, and a context block without them.

    A sample with only `n < N` valid tokens has blocks smaller in proportion. Where fewer context tokens remain than
    asked for (little is valid, or `keep` asks for more than is certain) the context is padded through `Mask.valid`.

    Args:
        tokens: the tokens to choose from, on a grid of any rank or a set.
        draws: the samples' random streams.
        targets: M, number of target blocks.
        target_scale: range of a target's share of the tokens; its mean is used.
        target_aspect: range of the ratio of a target's sides.
        context_scale: range of the context block's share before targets are removed; its mean is used.
        keep: share of the tokens kept as context, or None for what is certain to remain.
        wrap: whether a grid's opposite borders touch.
    """
    n = tokens.count
    size, block, kept = block_sizes(n, targets, target_scale, context_scale, keep)
    near = block_distance(tokens, draws, "mask/target", targets, target_aspect, wrap)
    index = near.topk(size, dim=-1, largest=False).indices  # [B, M, T]
    around = block_distance(tokens, draws, "mask/context", 1, (1.0, 1.0), wrap)[:, 0]
    order = around.argsort(dim=-1)
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(n, device=order.device).expand_as(order))

    target_valid = None
    if tokens.valid is None:
        limit = torch.full((len(draws), 1), block, device=order.device)
        taken = torch.zeros_like(order, dtype=torch.bool).scatter_(1, index.flatten(1), True)
    else:
        count = tokens.valid.sum(dim=1, keepdim=True)
        limit = (count * block + n - 1).div(n, rounding_mode="floor")
        real = (count * size).div(n, rounding_mode="floor")[:, None]  # [B, 1, 1]
        target_valid = (torch.arange(size, device=order.device) < real).expand_as(index)
        slot = torch.where(target_valid, index, torch.full_like(index, n)).flatten(1)
        taken = torch.zeros(len(order), n + 1, dtype=torch.bool, device=order.device).scatter_(1, slot, True)[:, :n]

    free = (rank < limit) & ~taken
    if tokens.valid is not None:
        free = free & tokens.valid
    # A random order among the free tokens, so that dropping the surplus has no preferred place.
    key = draws.uniform("mask/context/keep", n) + (~free).float() * 2.0
    chosen = key.argsort(dim=1)[:, :kept]
    certain = tokens.valid is None and kept <= block - targets * size
    context_valid = None if certain else free.gather(1, chosen)
    return MultiBlock(
        Mask(chosen, n, context_valid, tokens.grid),
        Mask(index, n, target_valid, tokens.grid),
    )
