"""Masks over spatial frequencies, and views without the frequencies they hide."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_platform.losses.precision import full_precision

CELLS = 224.0
"""The view length a radius is meant for; other lengths scale it, so that it is one wavelength in cells for all."""


def low_frequencies(size: Sequence[int], radius: float, device: torch.device) -> Tensor:
    """Which frequencies of a grid lie within a sphere around zero (MFM: Xie et al., 2023).

    Args:
        size: cells along each axis.
        radius: of the sphere, in periods over 224 cells.
        device: of the result.

    Returns:
        `[*size]` bool in the order of `torch.fft.fftn`; point symmetric, so that filtered views are real.
    """
    square = torch.zeros((), device=device)
    for n in size:
        square = square[..., None] + (torch.fft.fftfreq(n, device=device) * CELLS).square()
    return square < radius**2


@full_precision
def keep_frequencies(x: Tensor, kept: Tensor) -> Tensor:
    """The part of a view at some frequencies.

    Args:
        x: `[B, C, *size]` real and finite.
        kept: `[B, *size]` bool, point symmetric, in the order of `torch.fft.fftn`.
    """
    axes = tuple(range(2, x.ndim))
    return torch.fft.ifftn(torch.fft.fftn(x, dim=axes) * kept[:, None], dim=axes).real


def filled(x: Tensor, valid: Tensor | None, channel_valid: Tensor | None = None) -> Tensor:
    """`[B, C, *size]` with each channel's mean over valid cells in the others, and zero in absent channels."""
    zero = torch.zeros((), dtype=x.dtype, device=x.device)
    axes = tuple(range(2, x.ndim))
    if valid is not None:
        real = valid[:, None]
        count = real.sum(axes, keepdim=True).clamp_min(1)
        x = torch.where(real, x, torch.where(real, x, zero).sum(axes, keepdim=True) / count)
    if channel_valid is not None:
        x = torch.where(channel_valid.view(*channel_valid.shape, *[1] * len(axes)), x, zero)
    return x


def clamp_to(x: Tensor, like: Tensor) -> Tensor:
    """`[B, C, *size]` limited to the range of values each channel of each sample has in `like`."""
    axes = tuple(range(2, x.ndim))
    return torch.maximum(torch.minimum(x, like.amax(axes, keepdim=True)), like.amin(axes, keepdim=True))
