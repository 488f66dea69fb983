"""Inverse block masks: one block stays visible."""

from __future__ import annotations

from ssl_platform.draws import Draws
from ssl_platform.masking.choose import masked_count, split_lowest
from ssl_platform.masking.mask import Split
from ssl_platform.masking.metric import block_distance
from ssl_platform.types import Tokens


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
