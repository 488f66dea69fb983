"""Losses between the tokens of two views."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.losses.precision import full_precision


@full_precision
def place_consistency(prediction: Tensor, target: Tensor, positive: Tensor) -> Tensor:
    """Mean cosine of tokens that lie near each other, sample by sample (Xie et al., 2021, PixPro, eq. 4), one way.

    Args:
        prediction: `[B, N, D]` of any length.
        target: `[B, M, D]` of any length; no gradient flows into it.
        positive: `[B, N, M]` bool, pairs near enough.

    Returns:
        Scalar, the mean over samples of `-2` times the mean cosine of their pairs: in `[-2, 2]`; a sample without any
        pair counts as 0.
    """
    likeness = F.normalize(prediction, dim=-1) @ F.normalize(target.detach(), dim=-1).mT
    kept = torch.where(positive, likeness, torch.zeros((), dtype=likeness.dtype, device=likeness.device))
    return -2 * (kept.sum(dim=(1, 2)) / positive.sum(dim=(1, 2)).clamp_min(1)).mean()
