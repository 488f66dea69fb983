"""Losses that keep the dimensions of an embedding alive and different."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ssl_platform import distributed
from ssl_platform.losses.precision import full_precision


class VicregTerms(NamedTuple):
    """The three terms of VICReg, scalars without their weights.

    Attributes:
        invariance: mean squared difference of the two views.
        variance: hinge on the standard deviation, mean of the two views.
        covariance: squared off-diagonal covariance, sum of the two views.
    """

    invariance: Tensor
    variance: Tensor
    covariance: Tensor


def vicreg(
    a: Tensor,
    b: Tensor,
    sim: float = 25.0,
    var: float = 25.0,
    cov: float = 1.0,
    gamma: float = 1.0,
    eps: float = 1e-4,
) -> Tensor:
    """Variance-invariance-covariance regularisation (Bardes, Ponce, LeCun, 2022, eq. 6).

    Args:
        a, b: `[B, D]` embeddings of two views.
        sim, var, cov: weights of the terms.
        gamma: standard deviation below which a dimension is pushed apart.
        eps: added to the variance inside the root.

    Returns:
        Scalar. `var * (gamma - sqrt(eps))` for constant equal embeddings: 24.75 with the defaults.
    """
    terms = vicreg_terms(a, b, gamma, eps)
    return sim * terms.invariance + var * terms.variance + cov * terms.covariance


@full_precision
def vicreg_terms(a: Tensor, b: Tensor, gamma: float = 1.0, eps: float = 1e-4) -> VicregTerms:
    """The terms of `vicreg`; variance and covariance are those of the global batch, each view's on its own."""
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(f"needs two [B, D] tensors of one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    all_a, all_b = distributed.gather(torch.stack((a, b), dim=1)).unbind(1)  # [N, D] each
    return VicregTerms(
        invariance=invariance(a, b),
        variance=0.5 * (_variance_hinge(all_a, gamma, eps) + _variance_hinge(all_b, gamma, eps)),
        covariance=_covariance_penalty(all_a) + _covariance_penalty(all_b),
    )


@full_precision
def invariance(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared difference over rows and dimensions of two `[B, D]` views."""
    return (a - b).square().mean()


@full_precision
def variance(z: Tensor, gamma: float = 1.0, eps: float = 1e-4) -> Tensor:
    """`1/D sum_j max(0, gamma - sqrt(var_j + eps))`, unbiased variances over the global batch (VICReg, eq. 1).

    Args:
        z: `[B, D]`.
        gamma: standard deviation above which a dimension has no gradient.
        eps: added to the variance inside the root.
    """
    return _variance_hinge(distributed.gather(z), gamma, eps)


@full_precision
def covariance(z: Tensor) -> Tensor:
    """`1/D` times the sum of squared off-diagonal covariances of `z` `[B, D]` over the global batch (VICReg, eq. 4)."""
    return _covariance_penalty(distributed.gather(z))


def _variance_hinge(z: Tensor, gamma: float, eps: float) -> Tensor:
    _check_batch(z)
    return (gamma - (z.var(dim=0) + eps).sqrt()).clamp_min(0).mean()


def _covariance_penalty(z: Tensor) -> Tensor:
    _check_batch(z)
    count, dim = z.shape
    z = z - z.mean(dim=0)
    if count < dim:
        # ||Z'Z||_F = ||ZZ'||_F, so a wide embedding costs the batch's square rather than the dimension's.
        everything = (z @ z.T).square().sum()
        return (everything - z.square().sum(dim=0).square().sum()) / (dim * (count - 1) ** 2)
    matrix = z.T @ z / (count - 1)
    return (matrix - torch.diag(matrix.diagonal())).square().sum() / dim


def _check_batch(z: Tensor) -> None:
    if len(z) < 2:
        raise ValueError("variance and covariance need at least 2 samples in the global batch, got 1")
