"""Masks over places, held on all tokens of each place."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_platform.masking.mask import Split, dense, from_dense
from ssl_platform.types import Tokens


def hold(split: Split, place: Tensor, tokens: Tokens, length: int, equal: bool = True) -> Split:
    """The same masks over tokens: a token is masked where its place is.

    Args:
        split: masks over P places.
        place: `[N]` int64, the place of each token.
        tokens: the N tokens; invalid ones are in neither mask.
        length: most tokens of a place.
        equal: whether all places have that many.
    """
    exact = equal and tokens.valid is None
    held = []
    for part in split:
        chosen = dense(part)[:, place]
        if tokens.valid is not None:
            chosen = chosen & tokens.valid
        count = min(part.index.shape[1] * length, tokens.count)
        held.append(from_dense(chosen, count, tokens.grid, exact))
    return Split(*held)


def any_valid(valid: Tensor, place: Tensor, count: int) -> Tensor:
    """`[B, P]` bool, whether any token of each of `count` places is valid (`[B, N]` bool)."""
    hits = torch.zeros(len(valid), count, device=place.device)
    return hits.index_add_(1, place, valid.float()) > 0
