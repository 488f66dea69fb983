"""Losses on latents that a teacher gives token by token, and how such targets are normalised."""

from __future__ import annotations

import torch
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
