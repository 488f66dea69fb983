"""Masks without structure: uniformly random tokens, or tokens drawn by a score."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.masking.choose import masked_count, split_lowest
from ssl_platform.masking.mask import Split
from ssl_platform.types import Mask, Tokens


def random_masks(
    tokens: Tokens, ratio: float, draws: Draws, *, scores: Tensor | None = None, temperature: float = 1.0
) -> Split:
    """Mask a random subset of the tokens (He et al., 2022), the same number in every sample.

    Args:
        tokens: the tokens to choose from.
        ratio: fraction masked, in (0, 1).
        draws: the samples' random streams.
        scores: `[B, N]`; tokens are then masked without replacement with probability proportional to
            `exp(score / temperature)` (Gumbel top-k: Kool, van Hoof, Welling, 2019). None: all alike.
        temperature: towards 0 the highest scores are masked for certain.
    """
    masked = masked_count(tokens.count, ratio)
    key = draws.uniform("mask/token", tokens.count)
    if scores is not None:
        # Gumbel noise from a uniform number kept away from 0, where the logarithm ends.
        gumbel = -torch.log(-torch.log(key * (1.0 - 1e-6) + 5e-7))
        key = -(scores.detach().float() / max(temperature, 1e-6) + gumbel)
    return split_lowest(key, masked, tokens.valid, tokens.grid)


def random_grid_masks(shape: tuple[int, ...], ratio: float, draws: Draws) -> Split:
    """Mask random cells of a grid that no tokenizer cut, e.g. the coarsest map of a convolutional net.

    Args:
        shape: `(B, *grid)`.
        ratio: fraction masked, in (0, 1).
        draws: the samples' random streams.
    """
    batch, *grid = shape
    if batch != len(draws):
        raise ValueError(f"shape {shape} has {batch} samples but there are draws for {len(draws)}")
    total = math.prod(grid)
    key = draws.uniform("mask/token", total)
    return split_lowest(key, masked_count(total, ratio), None, tuple(grid))


def subsample(mask: Mask, count: int, draws: Draws) -> Mask:
    """A random subset of a mask, real positions first.

    Args:
        mask: `[B, K]` or `[B, M, K]`.
        count: how many to keep, at most K.
        draws: the samples' random streams.
    """
    key = draws.uniform("mask/subsample", *mask.index.shape[1:])
    if mask.valid is not None:
        key = torch.where(mask.valid, key, key + 2.0)
    keep = key.argsort(dim=-1)[..., :count]
    valid = None if mask.valid is None else mask.valid.gather(-1, keep)
    return Mask(mask.index.gather(-1, keep), mask.total, valid, mask.grid)
