"""Clustering by neighbours: the two losses of SCAN (Van Gansbeke et al., ECCV 2020, arXiv:2005.12320)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class ScanTerms(NamedTuple):
    """Terms of the clustering loss, `consistency - weight * entropy`.

    Attributes:
        consistency: `[...]` mean of `-log <p, p_neighbour>`; 0 where both are one-hot and agree, `log K` if uniform.
        entropy: `[...]` of the mean prediction, in `[0, log K]`; `log K` where all clusters are used equally.
    """

    consistency: Tensor
    entropy: Tensor


def scan_terms(logits: Tensor, neighbours: Tensor) -> ScanTerms:
    """Equation 2: an item and its neighbour fall into one cluster, surely, and all clusters are used.

    Args:
        logits: `[..., B, K]` of items.
        neighbours: `[..., B, K]` of a neighbour of each.
    """
    together = torch.logsumexp(logits.log_softmax(dim=-1) + neighbours.log_softmax(dim=-1), dim=-1)
    mean = logits.softmax(dim=-1).mean(dim=-2)
    return ScanTerms(-together.mean(dim=-1), -torch.special.xlogy(mean, mean).sum(dim=-1))


def confident_cross_entropy(weak: Tensor, strong: Tensor, threshold: float) -> Tensor:
    """Section 2.3: sure predictions label their augmented views, every cluster with the same weight in all.

    Args:
        weak: `[B, K]` logits of items as they are.
        strong: `[B, K]` logits of an augmented view of each.
        threshold: least probability of a label.

    Raises:
        ValueError: no item is that sure.
    """
    sure, label = weak.detach().softmax(dim=-1).max(dim=-1)
    chosen = sure > threshold
    if not bool(chosen.any()):
        raise ValueError(f"no item is surer than {threshold:g} of its cluster (the surest {float(sure.max()):.3f})")
    count = torch.bincount(label[chosen], minlength=weak.shape[1])
    weight = int(chosen.sum()) / count.clamp_min(1).to(strong.dtype)
    return F.cross_entropy(strong[chosen], label[chosen], weight=weight)
