"""The tokens that a mask chooses."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ssl_platform.types import Mask, Tokens


def subset(tokens: Tokens, mask: Mask) -> Tokens:
    """The chosen tokens as tokens of their own.

    Args:
        tokens: `[B, N]`.
        mask: `[B, K]`, or `[B, M, K]` for M subsets of every sample, which become a batch of `B * M` with the subsets
            of a sample next to each other.

    Returns:
        Tokens without a grid; invalid where the mask is padded or the token was invalid.
    """
    sets = mask.index.shape[1] if mask.index.ndim == 3 else 1
    valid = mask.valid
    if tokens.valid is not None:
        valid = mask.gather(tokens.valid) if valid is None else mask.gather(tokens.valid) & valid
    return replace(
        tokens,
        values=flat(mask.gather(tokens.values), 2),
        coords=flat(mask.gather(tokens.coords), 2),
        extent=tokens.extent if sets == 1 else tokens.extent.repeat_interleave(sets, dim=0),
        grid=None,
        valid=None if valid is None else flat(valid, 1),
        kind=None if tokens.kind is None else flat(mask.gather(tokens.kind), 1),
        parent=None if tokens.parent is None else flat(mask.gather(tokens.parent), 1),
    )


def flat(x: Tensor, inner: int) -> Tensor:
    """`[B, M, K, ...]` as `[B * M, K, ...]`, where `[B, K, ...]` has `1 + inner` axes and stays as it is."""
    return x.flatten(0, 1) if x.ndim == inner + 2 else x
