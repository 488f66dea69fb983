"""Bags of visual words, and the divergence of a prediction from one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.losses.precision import full_precision


@full_precision
def squared_distances(features: Tensor, words: Tensor) -> Tensor:
    """`[..., K]` squared Euclidean distances of `[..., C]` features to `[K, C]` words."""
    lengths = features.square().sum(dim=-1, keepdim=True) + words.square().sum(dim=-1)
    return (lengths - 2 * features @ words.T).clamp_min(0)


@full_precision
@torch.no_grad()
def bag_of_words(distances: Tensor, sharpness: float | Tensor, valid: Tensor) -> Tensor:
    """Soft assignment of every position to words, the largest over positions, as a distribution (OBoW, eq. 3-4).

    Args:
        distances: `[B, N, K]` squared distances.
        sharpness: of the softmax over words; large for a hard assignment, whose bag is uniform over the words that are
            nearest to some position.
        valid: `[B, N]` bool, which positions count.

    Returns:
        `[B, K]` of at least 0 with rows of sum 1; 0 for samples without any valid position.
    """
    assigned = (-sharpness * distances).softmax(dim=-1)
    bag = torch.where(valid[..., None], assigned, torch.zeros((), dtype=assigned.dtype, device=assigned.device)).amax(1)
    return bag / bag.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(bag.dtype).tiny)


@full_precision
def kl_divergence(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over rows of `KL(target || softmax(logits))`: cross-entropy less the target's entropy.

    Args:
        logits: `[..., K]`.
        target: `[..., K]` probabilities; no gradient flows into them.

    Returns:
        Scalar of at least 0.
    """
    target = target.detach()
    return (torch.xlogy(target, target) - target * F.log_softmax(logits, dim=-1)).sum(dim=-1).mean()
