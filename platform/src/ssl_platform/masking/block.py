"""Masks made of blocks, with an exact number of tokens."""

from __future__ import annotations

from ssl_platform.draws import Draws
from ssl_platform.masking.choose import masked_count, split_lowest
from ssl_platform.masking.mask import Split
from ssl_platform.masking.metric import block_distance
from ssl_platform.types import Tokens


def block_masks(
    tokens: Tokens,
    ratio: float,
    draws: Draws,
    *,
    blocks: int = 1,
    aspect: tuple[float, float] = (1.0, 1.0),
    wrap: bool = True,
) -> Split:
    """Mask the tokens nearest to random centres: `blocks` blocks that grow alike until the number is exact.

    Args:
        tokens: the tokens to choose from, on a grid of any rank or a set.
        ratio: fraction masked, in (0, 1).
        draws: the samples' random streams.
        blocks: how many blocks share the masked tokens (they may touch).
        aspect: range of the ratio of a block's sides.
        wrap: whether a grid's opposite borders touch; then every token is masked equally often.
    """
    masked = masked_count(tokens.count, ratio)
    distance = block_distance(tokens, draws, "mask/block", blocks, aspect, wrap).amin(dim=1)
    return split_lowest(distance, masked, tokens.valid, tokens.grid)
