"""Losses that keep the dimensions of an embedding alive and different."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
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
    """The terms of `vicreg`; variance and covariance are those of the global batch, each view's on its own.

    Of `[B, ..., D]` (several embeddings of a sample, VICRegL) each place in between has its own statistics, and terms
    are means over places.
    """
    if a.ndim < 2 or a.shape != b.shape:
        raise ValueError(f"needs two [B, ..., D] tensors of one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    all_a, all_b = distributed.gather(torch.stack((a, b), dim=1)).unbind(1)  # [N, ..., D] each
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


@full_precision
def barlow_twins(a: Tensor, b: Tensor, off_diagonal: float = 0.0051, eps: float = 1e-5) -> Tensor:
    """Squared distance of the views' cross-correlation from the identity (Zbontar et al., 2021, eq. 1-2).

    Means, variances and correlations are those of the global batch, each with its gradient. A correlation matrix wider
    than the batch is never formed.

    Args:
        a, b: `[B, D]` embeddings of two views.
        off_diagonal: weight lambda of the squared correlations of unlike dimensions.
        eps: added to the (biased) variances.

    Returns:
        Scalar. D for constant embeddings; 0 for a cross-correlation that is the identity.

    Raises:
        ValueError: `a` and `b` are not `[B, D]` of one shape, or the global batch has fewer than 2 samples.
    """
    _check_pair(a, b)
    a, b = standardised(torch.stack((a, b), dim=1), eps).unbind(1)  # [B, D] each
    count, dim = len(a) * distributed.world(), a.shape[1]
    if count < dim:
        # sum_ij C_ij^2 = sum_nm (a_n.a_m)(b_n.b_m) / N^2: each rank takes its own rows n against all rows m.
        diagonal = distributed.all_sum((a * b).sum(dim=0)) / count  # [D]
        all_a, all_b = distributed.gather(torch.stack((a, b), dim=1)).unbind(1)  # [N, D] each
        everything = ((a @ all_a.T) * (b @ all_b.T)).sum() * (distributed.world() / count**2)
        others = everything - diagonal.square().sum()
    else:
        matrix = distributed.all_sum(a.T @ b) / count  # [D, D]
        diagonal = matrix.diagonal()
        others = (matrix - torch.diag(diagonal)).square().sum()
    return (diagonal - 1).square().sum() + off_diagonal * others


class TicoTerms(NamedTuple):
    """The two terms of TiCo, scalars without the weight.

    Attributes:
        invariance: mean of 1 - cosine, half the squared distance of unit vectors: in `[0, 2]`.
        contrast: mean of `z C z`, in `[0, 1]`: 1 when all embeddings of now and the past are one, 1/D when isotropic.
    """

    invariance: Tensor
    contrast: Tensor


@full_precision
def tico_terms(student: Tensor, target: Tensor, covariance: Tensor) -> TicoTerms:
    """Agreement with the target, and the student's share in the directions of `covariance` (TiCo, eq. 2-4).

    Args:
        student: `[B, D]` of any length.
        target: `[B, D]` the teacher's of any length; no gradient flows into it.
        covariance: `[D, D]` running second moment of unit embeddings, this batch's `second_moment` already in it.
    """
    _check_pair(student, target)
    z = F.normalize(student, dim=1)
    agreement = (z * F.normalize(target.detach(), dim=1)).sum(dim=1)
    return TicoTerms(invariance=1 - agreement.mean(), contrast=((z @ covariance) * z).sum(dim=1).mean())


@full_precision
def second_moment(z: Tensor) -> Tensor:
    """`[D, D]` mean of `z z'` over the unit vectors of the global batch: symmetric, positive, of trace 1.

    Args:
        z: `[B, D]` of any length.
    """
    z = F.normalize(z, dim=1)
    return distributed.all_mean(z.T @ z / len(z))


@full_precision
def standardised(z: Tensor, eps: float = 1e-5) -> Tensor:
    """`z` `[B, ...]` with zero mean and unit (biased) variance over the global batch, for every other axis on its own.

    Args:
        z: at least 2 samples on all ranks together.
        eps: added to the variance inside the root.
    """
    _check_batch(len(z) * distributed.world())
    centred = z - distributed.all_mean(z.mean(dim=0))
    return centred * (distributed.all_mean(centred.square().mean(dim=0)) + eps).rsqrt()


def _variance_hinge(z: Tensor, gamma: float, eps: float) -> Tensor:
    _check_batch(len(z))
    return (gamma - (z.var(dim=0) + eps).sqrt()).clamp_min(0).mean()


def _covariance_penalty(z: Tensor) -> Tensor:
    _check_batch(len(z))
    count, dim = z.shape[0], z.shape[-1]
    z = (z - z.mean(dim=0)).movedim(0, -2)  # [..., N, D]
    if count < dim:
        # ||Z'Z||_F = ||ZZ'||_F, so a wide embedding costs the batch's square rather than the dimension's.
        everything = (z @ z.mT).square().sum(dim=(-2, -1))
        return (everything - z.square().sum(dim=-2).square().sum(dim=-1)).mean() / (dim * (count - 1) ** 2)
    matrix = z.mT @ z / (count - 1)
    diagonal = torch.diag_embed(matrix.diagonal(dim1=-2, dim2=-1))
    return (matrix - diagonal).square().sum(dim=(-2, -1)).mean() / dim


def _check_batch(count: int) -> None:
    if count < 2:
        raise ValueError(f"variance and covariance need at least 2 samples in the global batch, got {count}")


def _check_pair(a: Tensor, b: Tensor) -> None:
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(f"needs two [B, D] tensors of one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
