"""Masks whose share of the tokens is drawn anew for every sample (iBOT, DINOv2)."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.masking.metric import block_distance
from ssl_platform.types import Mask, Tokens

BLOCKS = 2  # BEiT's rectangles of at least a ninth of the grid fill 10 to 50 % of it with one to four
ASPECT = (0.3, 1 / 0.3)  # BEiT's


def drawn_masks(tokens: Tokens, ratio: Tensor, most: float, draws: Draws, *, block: bool = True) -> Mask:
    """Mask a share of every sample's valid tokens, rounded down: exactly `floor(ratio * valid tokens)`.

    Blocks grow alike until the number is exact and wrap around a grid's borders (see `ssl_platform.masking.metric`), so
    none falls short of its number and every token is masked equally often. BEiT's rectangles may fall short.

    Args:
        tokens: the tokens to choose from, on a grid of any rank or a set.
        ratio: `[B]` share masked; 0 masks nothing.
        most: the largest ratio that can come, in (0, 1]; it decides how many places the mask has.
        draws: the samples' random streams.
        block: two blocks, or else uniformly random tokens.

    Returns:
        `[B, max(1, floor(most * N))]`, padded through `valid`.
    """
    if block:
        score = block_distance(tokens, draws, "mask/block", BLOCKS, ASPECT).amin(dim=1)
    else:
        score = draws.uniform("mask/token", tokens.count)
    count = torch.full_like(ratio, tokens.count)
    if tokens.valid is not None:
        score = score.masked_fill(~tokens.valid, torch.inf)
        count = tokens.valid.sum(dim=1).to(ratio.dtype)
    places = max(1, int(most * tokens.count + 1e-6))
    index = score.topk(places, dim=1, largest=False).indices
    hidden = (ratio * count).floor()
    return Mask(index, tokens.count, torch.arange(places, device=index.device) < hidden[:, None], tokens.grid)
