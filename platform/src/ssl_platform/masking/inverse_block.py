"""Inverse block masks: one block stays visible, or a few small ones."""

from __future__ import annotations

from ssl_platform.draws import Draws
from ssl_platform.masking.choose import masked_count, split_lowest
from ssl_platform.masking.mask import Split
from ssl_platform.masking.metric import block_distance
from ssl_platform.types import Mask, Tokens


def inverse_block_masks(
    tokens: Tokens,
    ratio: float,
    draws: Draws,
    *,
    aspect: tuple[float, float] = (0.5, 2.0),
    wrap: bool = True,
) -> Split:
    """Mask everything outside a random block (CAPI: Darcet et al., 2025; Baevski et al., 2022).

    The block is rolled around the grid's borders, as in CAPI, so that every token is visible equally often.

    Args:
        tokens: the tokens to choose from, on a grid of any rank or a set.
        ratio: fraction masked, in (0, 1).
        draws: the samples' random streams.
        aspect: range of the ratio of the visible block's sides.
        wrap: whether a grid's opposite borders touch.
    """
    masked = masked_count(tokens.count, ratio)
    distance = block_distance(tokens, draws, "mask/inverse", 1, aspect, wrap)[:, 0]
    return split_lowest(-distance, masked, tokens.valid, tokens.grid)


def inverse_block_sets(
    tokens: Tokens,
    ratio: float,
    draws: Draws,
    *,
    sets: int,
    side: int = 3,
    adjust: float = 0.0,
    wrap: bool = True,
) -> Split:
    """M masks of every sample that each leave several small blocks visible (data2vec 2.0: Baevski et al., 2023).

    There are as many blocks as, without overlap, would cover what stays visible; they grow alike until the number of
    tokens is exact. The published masks place blocks of a fixed size and add or remove single tokens at random.

    Args:
        tokens: the tokens to choose from, on a grid of any rank or a set.
        ratio: fraction masked, in (0, 1).
        draws: the samples' random streams.
        sets: M.
        side: tokens along each axis of a block.
        adjust: fraction of the tokens that is added when blocks are counted, for those that overlap.
        wrap: whether a grid's opposite borders touch.

    Returns:
        Masks `[B, M, K]` and `[B, M, N - K]`.
    """
    total = tokens.count
    masked = masked_count(total, ratio)
    blocks = max(1, round((total - masked + adjust * total) / side ** tokens.coords.shape[-1]))
    distance = block_distance(tokens, draws, "mask/inverse", sets * blocks, wrap=wrap)
    near = distance.unflatten(1, (sets, blocks)).amin(dim=2).flatten(0, 1)  # [B * M, N]
    valid = None if tokens.valid is None else tokens.valid.repeat_interleave(sets, dim=0)
    return Split(*(_by_sample(mask, sets) for mask in split_lowest(-near, masked, valid, tokens.grid)))


def _by_sample(mask: Mask, sets: int) -> Mask:
    """`[B * M, K]` as `[B, M, K]`."""
    valid = None if mask.valid is None else mask.valid.unflatten(0, (-1, sets))
    return Mask(mask.index.unflatten(0, (-1, sets)), mask.total, valid, mask.grid)
