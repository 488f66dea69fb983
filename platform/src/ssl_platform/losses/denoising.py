"""Losses of denoising in a basis of patches."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_platform.losses.precision import full_precision


@full_precision
@torch.no_grad()
def noisy_components(patches: Tensor, basis: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """Patches of the first components only, with noise added there (l-DAE: Chen, Liu, Xie, He, 2025).

    Args:
        patches: `[B, N, T]`.
        basis: `[T, T]` orthonormal rows.
        noise: `[B, N, d]` standard normal, d components.
        sigma: `[B]` its level.

    Returns:
        `[B, N, T]`, `V_d^T (V_d x + sigma noise)`.
    """
    first = basis[: noise.shape[-1]].to(patches.dtype)
    return (patches @ first.T + sigma[:, None, None].to(patches.dtype) * noise.to(patches.dtype)) @ first


@full_precision
def component_error(
    prediction: Tensor,
    target: Tensor,
    basis: Tensor,
    kept: int,
    rest: float = 0.1,
    sigma: Tensor | None = None,
    valid: Tensor | None = None,
) -> Tensor:
    """Squared error in a basis, the first components weighing 1 and the others `rest`.

    Args:
        prediction: `[B, N, T]`.
        target: `[B, N, T]`; no gradient flows into it.
        basis: `[T, T]` orthonormal rows.
        kept: number of components that weigh 1.
        rest: weight of the others.
        sigma: `[B]` noise level; a sample weighs `1 / (1 + sigma^2)`. None: 1.
        valid: `[B, N, T]` bool, which values count; None: all.

    Returns:
        `[B, N]` sum over components.
    """
    residual = prediction - target.detach()
    if valid is not None:
        residual = torch.where(valid, residual, torch.zeros((), dtype=residual.dtype, device=residual.device))
    square = (residual @ basis.to(residual.dtype).T).square()
    error = square[..., :kept].sum(-1) + rest * square[..., kept:].sum(-1)
    return error if sigma is None else error / (1.0 + sigma.to(error.dtype).square())[:, None]
