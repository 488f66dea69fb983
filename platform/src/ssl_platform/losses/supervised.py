"""Losses on labels, some of which may be unknown."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ssl_platform import distributed
from ssl_platform.losses.precision import full_precision

UNKNOWN = -1


@full_precision
def masked_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy over the samples whose label is known, divided by their number on all ranks.

    Args:
        logits: `[B, K, ...]`.
        labels: `[B, ...]` int64 in `[0, K)`, or -1 where unknown.
        smoothing: label smoothing in `[0, 1)`.

    Returns:
        Scalar; 0 (with zero gradient) where no label is known.
    """
    total = F.cross_entropy(logits, labels, ignore_index=UNKNOWN, reduction="sum", label_smoothing=smoothing)
    return distributed.global_mean(total, (labels != UNKNOWN).sum())
