"""Losses of masked prediction, token by token, and their mean over valid tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform import distributed
from ssl_platform.losses.precision import full_precision


@full_precision
def masked_mean(loss: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean over valid elements of all ranks.

    Args:
        loss: `[B, K]`, or any shape.
        valid: same shape, bool or weights of at least 0; None: all count alike.

    Returns:
        Scalar; 0 (with zero gradient) where nothing is valid on any rank.
    """
    if valid is None:
        return loss.mean()
    # A choice, not a product: 0 * inf would carry what lies in invalid places into the loss.
    kept = torch.where(valid > 0, loss, torch.zeros((), dtype=loss.dtype, device=loss.device))
    return distributed.global_mean((kept * valid).sum(), valid.sum())


@full_precision
@torch.no_grad()
def normalised_patches(target: Tensor, valid: Tensor | None = None, eps: float = 1e-6) -> Tensor:
    """Each patch less its mean, over its standard deviation: MAE's target (He et al., 2022, section 4.1).

    Args:
        target: `[..., T]` raw content of each token.
        valid: `[..., T]` bool; statistics are of valid values and invalid ones become 0. None: all valid.
        eps: added to the unbiased variance inside the root, so that a constant patch becomes 0.
    """
    if valid is None:
        variance, mean = torch.var_mean(target, dim=-1, keepdim=True)
        return (target - mean) / (variance.nan_to_num(0.0) + eps).sqrt()
    zero = torch.zeros((), dtype=target.dtype, device=target.device)
    count = valid.sum(dim=-1, keepdim=True)
    mean = torch.where(valid, target, zero).sum(dim=-1, keepdim=True) / count.clamp_min(1)
    centred = torch.where(valid, target - mean, zero)
    variance = centred.square().sum(dim=-1, keepdim=True) / (count - 1).clamp_min(1)
    return centred / (variance + eps).sqrt()


@full_precision
def patch_mse(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor | None = None,
    normalise: bool = True,
    eps: float = 1e-6,
) -> Tensor:
    """Mean squared error of each patch (He et al., 2022).

    Args:
        prediction: `[..., T]` predicted content of each token.
        target: `[..., T]` raw content; no gradient flows into it.
        valid: `[..., T]` bool, which values count; None: all.
        normalise: whether the target is normalised patch by patch first.
        eps: of that normalisation.

    Returns:
        `[...]` mean over each token's valid values, 0 where it has none: give `valid.any(-1)` to `masked_mean`.
    """
    target = normalised_patches(target, valid, eps) if normalise else target.detach()
    return mean_of_valid((prediction - target).square(), valid)


@full_precision
def masked_error(
    prediction: Tensor,
    target: Tensor,
    masked: Tensor | None = None,
    valid: Tensor | None = None,
    squared: bool = False,
) -> Tensor:
    """Mean absolute (or squared) error over the masked valid values of all ranks (SimMIM: Xie et al., 2022, eq. 1).

    Args:
        prediction: `[B, K, T]` predicted content of masked tokens.
        target: `[B, K, T]` their content; no gradient flows into it.
        masked: `[B, K]` bool, which tokens are masked (the others are padding); None: all.
        valid: `[B, K, T]` bool, which values are real; None: all.
        squared: squared instead of absolute errors.

    Returns:
        Scalar; every value counts alike, whatever the token or rank it belongs to.
    """
    error = prediction - target.detach()
    error = error.square() if squared else error.abs()
    if masked is not None:
        masked = masked[..., None].expand(error.shape)
        valid = masked if valid is None else valid & masked
    return masked_mean(error, valid)


@full_precision
def smooth_l1_tokens(prediction: Tensor, target: Tensor, beta: float = 1.0) -> Tensor:
    """Smooth L1 error of each token, the mean over its features (I-JEPA's loss: Assran et al., 2023).

    Args:
        prediction: `[..., D]`.
        target: `[..., D]`; no gradient flows into it.
        beta: where the square turns into the absolute value; 0 for plain L1.

    Returns:
        `[...]`.
    """
    return F.smooth_l1_loss(prediction, target.detach(), beta=beta, reduction="none").mean(dim=-1)


def mean_of_valid(error: Tensor, valid: Tensor | None) -> Tensor:
    """Mean over the last axis of what is valid (of the same shape, None: all), 0 where nothing is."""
    if valid is None:
        return error.mean(dim=-1)
    zero = torch.zeros((), dtype=error.dtype, device=error.device)
    return torch.where(valid, error, zero).sum(dim=-1) / valid.sum(dim=-1).clamp_min(1)
