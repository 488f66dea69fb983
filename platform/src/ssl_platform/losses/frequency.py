"""Errors between spectra."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_platform.losses.masked import masked_mean
from ssl_platform.losses.precision import full_precision


@full_precision
def spectrum_error(
    prediction: Tensor,
    target: Tensor,
    removed: Tensor | None = None,
    channel_valid: Tensor | None = None,
    gamma: float = 1.0,
) -> Tensor:
    """Mean distance of complex coefficients over the frequencies that were removed (MFM: Xie et al., 2023).

    Args:
        prediction: `[B, C, *size]`.
        target: `[B, C, *size]`; no gradient flows into it.
        removed: `[B, *size]` bool in the order of `torch.fft.fftn`; None: all frequencies.
        channel_valid: `[B, C]` bool, or None.
        gamma: power of the distance, at least 1.

    Returns:
        Scalar: `mean |F(x) - F(y)|^gamma` over what counts, on all ranks. F is orthonormal, so that white errors cost
        the same at every size.
    """
    difference = prediction - target.detach()
    axes = tuple(range(2, difference.ndim))
    distance = torch.fft.fftn(difference, dim=axes, norm="ortho").abs().pow(gamma)
    if removed is None and channel_valid is None:
        return distance.mean()
    counted = torch.ones_like(distance, dtype=torch.bool) if removed is None else removed[:, None].expand_as(distance)
    if channel_valid is not None:
        counted = counted & channel_valid.view(*channel_valid.shape, *[1] * len(axes))
    return masked_mean(distance, counted)
