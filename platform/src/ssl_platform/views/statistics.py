"""Statistics of each sample and channel over valid cells."""

from __future__ import annotations

import torch
from torch import Tensor

_ENOUGH = {1: 1024, 2: 64, 3: 16}  # by rank: cells along an axis that estimate a scale well; the rest are skipped


def mean_std(x: Tensor, valid: Tensor | None, *, points: bool = False) -> tuple[Tensor, Tensor]:
    """`[B, C]` mean and standard deviation, on a regular subset of the cells of large grids.

    Args:
        x: `[B, C, *size]`, or `[B, N, C]` with `points`.
        valid: `[B, *size]` (or `[B, N]`) bool, or None. Without valid cells both are zero.
        points: whether `x` is a point set.
    """
    if points:
        x = x.transpose(1, 2)
    x, valid = _thinned(x), None if valid is None else _thinned(valid[:, None])
    flat = x.flatten(2)
    if valid is None:
        variance, mean = torch.var_mean(flat, dim=2, correction=0)
        return mean, variance.sqrt()
    weight = valid.flatten(2).to(x.dtype)
    count = weight.sum(2).clamp(min=1)
    mean = (flat * weight).sum(2) / count
    variance = ((flat - mean[:, :, None]).square() * weight).sum(2) / count
    return mean, variance.sqrt()


def value_range(x: Tensor, valid: Tensor | None, *, points: bool = False) -> tuple[Tensor, Tensor]:
    """`[B, C]` least and largest valid value; both zero without valid cells. Arguments as for `mean_std`."""
    if points:
        x = x.transpose(1, 2)
    flat = x.flatten(2)
    if valid is None:
        return flat.amin(2), flat.amax(2)  # far faster than aminmax on a CPU
    mask = valid.flatten(1)[:, None]
    low = torch.where(mask, flat, torch.full_like(flat, torch.inf)).amin(2)
    high = torch.where(mask, flat, torch.full_like(flat, -torch.inf)).amax(2)
    known = mask.any(2)
    zero = torch.zeros_like(low)
    return torch.where(known, low, zero), torch.where(known, high, zero)


def _thinned(x: Tensor) -> Tensor:
    """Every n-th cell along each spatial axis, so that about `_ENOUGH` to twice as many remain."""
    enough = _ENOUGH[x.ndim - 2]
    steps = (slice(None, None, max(1, n // enough)) for n in x.shape[2:])
    return x[(slice(None), slice(None), *steps)]
