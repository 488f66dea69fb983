"""Losses on latents that a teacher gives token by token, and how such targets are normalised."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.losses.precision import full_precision


@full_precision
@torch.no_grad()
def instance_normalised(x: Tensor, valid: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """Each feature less its mean over a sample's tokens, over its standard deviation (Ulyanov et al., 2016).

    Args:
        x: `[B, N, D]`.
        valid: `[B, N]` bool; statistics are of valid tokens and invalid ones become 0. None: all valid.
        eps: added to the (biased) variance inside the root.
    """
    if valid is None:
        variance, mean = torch.var_mean(x, dim=1, keepdim=True, correction=0)
        return (x - mean) * (variance + eps).rsqrt()
    keep = valid[..., None]
    count = keep.sum(dim=1, keepdim=True).clamp_min(1)
    mean = x.where(keep, 0.0).sum(dim=1, keepdim=True) / count
    centred = (x - mean).where(keep, 0.0)
    variance = centred.square().sum(dim=1, keepdim=True) / count
    return centred * (variance + eps).rsqrt()


@full_precision
def scaled_square_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared distance over the root of the width, `||p - t||^2 / sqrt(D)` (data2vec 2.0: Baevski et al., 2023).

    Args:
        prediction: `[..., D]`.
        target: `[..., D]`; no gradient flows into it.

    Returns:
        `[...]`; `sqrt(D)` for a zero prediction of features with unit variance.
    """
    return (prediction - target.detach()).square().sum(dim=-1) * prediction.shape[-1] ** -0.5


@full_precision
def patch_discrimination(prediction: Tensor, target: Tensor, temperature: float, valid: Tensor | None = None) -> Tensor:
    """Each predicted token must pick its own target among the targets of its sample (LatentMIM: Wei et al., 2024).

    Predictions are first standardised over the sample's tokens, feature by feature; then both have unit length.

    Args:
        prediction: `[B, M, D]`, M at least 2.
        target: `[B, M, D]`; no gradient flows into it.
        temperature: tau, above 0.
        valid: `[B, M]` bool, which tokens are real; None: all.

    Returns:
        `[B, M]` cross-entropies times `2 tau`: `2 tau ln M` for constant predictions.
    """
    keep = torch.ones(prediction.shape[:2], dtype=torch.bool, device=prediction.device) if valid is None else valid
    count = keep.sum(dim=1)[:, None, None]
    mean = prediction.where(keep[..., None], 0.0).sum(dim=1, keepdim=True) / count.clamp_min(1)
    centred = (prediction - mean).where(keep[..., None], 0.0)
    # A root of 0 has no gradient: the smallest number keeps it finite where predictions are constant.
    spread = (centred.square().sum(dim=1, keepdim=True) / (count - 1).clamp_min(1)).clamp_min(1e-20).sqrt()
    p = F.normalize(centred / (spread + 1e-4), dim=-1)
    scores = p @ F.normalize(target.detach(), dim=-1).transpose(1, 2) / temperature  # [B, M, M]
    if valid is not None:
        # A row of padding keeps all columns, for a softmax over nothing is not a number.
        scores = scores.masked_fill(~valid[:, None] & valid[..., None], -torch.inf)
    own = scores.diagonal(dim1=1, dim2=2)
    return 2 * temperature * (scores.logsumexp(dim=-1) - own)


@full_precision
def pairwise_similarity(x: Tensor, valid: Tensor | None = None) -> Tensor:
    """`[B]` mean cosine over all pairs of a sample's tokens (each with itself too), from `[B, N, D]`.

    It is the squared length of the mean of the unit vectors. `valid` (`[B, N]` bool) says which tokens count.
    """
    unit = F.normalize(x, dim=-1)
    if valid is None:
        return unit.mean(dim=1).square().sum(dim=-1)
    count = valid.sum(dim=1, keepdim=True).clamp_min(1)
    return (unit.where(valid[..., None], 0.0).sum(dim=1) / count).square().sum(dim=-1)
