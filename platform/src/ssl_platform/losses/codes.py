"""Losses on discrete codes: predicting them, and learning them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.losses.precision import full_precision


@full_precision
def token_cross_entropy(logits: Tensor, codes: Tensor) -> Tensor:
    """`-log softmax(logits)[code]` of each token (BEiT: Bao et al., 2022, eq. 1).

    Args:
        logits: `[..., V]`.
        codes: `[...]` int64 in `[0, V)`.

    Returns:
        `[...]`; ln V for equal logits.
    """
    return F.cross_entropy(logits.flatten(0, -2), codes.flatten(), reduction="none").view(codes.shape)


@full_precision
def commitment(latents: Tensor, codes: Tensor) -> Tensor:
    """Squared distance of each latent to its code, the mean over features; it pulls the latent only.

    Args:
        latents: `[..., d]`.
        codes: `[..., d]`; no gradient flows into them.

    Returns:
        `[...]`; `2 (1 - cos) / d` for unit vectors.
    """
    return (latents - codes.detach()).square().mean(dim=-1)


@full_precision
def one_minus_cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """`[...]` in `[0, 2]` from `[..., D]`; no gradient flows into the target (BEiT v2: Peng et al., 2022, eq. 3)."""
    return 1 - F.cosine_similarity(prediction, target.detach(), dim=-1)


@torch.no_grad()
def share_used(codes: Tensor, count: int, valid: Tensor | None = None) -> Tensor:
    """Scalar in `[0, 1]`: the share of `count` codes that occur in `[...]` (where `valid`)."""
    hit = torch.ones_like(codes, dtype=torch.float32) if valid is None else valid.float()
    used = torch.zeros(count, device=codes.device).index_add_(0, codes.flatten(), hit.flatten())
    return (used > 0).float().mean()
