"""Sketched isotropic Gaussian regularisation: embeddings distributed like a standard normal in every direction."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_platform import distributed
from ssl_platform.losses.precision import full_precision


@full_precision
def sigreg(z: Tensor, directions: Tensor, knots: int = 17, t_max: float = 3.0, batch_scaled: bool = True) -> Tensor:
    """Mean Epps-Pulley statistic of projections on `directions` (Balestriero, LeCun, 2025, section 4).

    The squared distance of the empirical characteristic function of the global batch from that of a standard normal,
    weighted by the latter and integrated over `[-t_max, t_max]` by the trapezoid rule.

    Args:
        z: `[B, K]`, or `[V, B, K]` for V views, each tested on its own.
        directions: `[S, K]` unit vectors, equal on all ranks.
        knots: of the integration over `[0, t_max]`, at least 2.
        t_max: largest frequency.
        batch_scaled: multiply by the samples N of the global batch, as published. The mean for normal samples is then
            1.0525 whatever N, and a collapsed batch gives 0.40205 N: the same weight pulls more in a larger batch.

    Returns:
        Scalar.
    """
    t, weight = (torch.tensor(values, dtype=z.dtype, device=z.device) for values in frequencies(knots, t_max))
    normal = (-t.square() / 2).exp()
    angle = (z @ directions.to(z.dtype).T)[..., None] * t  # [..., B, S, T]
    real, imaginary = distributed.all_mean(torch.stack((angle.cos().mean(dim=-3), angle.sin().mean(dim=-3))))
    statistic = (((real - normal).square() + imaginary.square()) * weight).sum(dim=-1).mean()
    return statistic * (z.shape[-2] * distributed.world()) if batch_scaled else statistic


def frequencies(knots: int, t_max: float) -> tuple[list[float], list[float]]:
    """Knots above 0 and their weights: trapezoid rule over both signs, times `exp(-t^2 / 2)`.

    The knot at 0, where every characteristic function is 1, adds nothing and is left out.
    """
    step = t_max / (knots - 1)
    t = [step * number for number in range(1, knots)]
    widths = [2 * step] * (knots - 2) + [step]
    return t, [width * math.exp(-(u**2) / 2) for u, width in zip(t, widths, strict=True)]


def statistic_of_constant(knots: int = 17, t_max: float = 3.0) -> float:
    """`sigreg` of zeros, per sample: 0.40205 with the defaults."""
    return sum(weight * (1 - math.exp(-(t**2) / 2)) ** 2 for t, weight in zip(*frequencies(knots, t_max), strict=True))


@full_precision
def view_mean_mse(views: Sequence[Tensor], centres: int) -> Tensor:
    """Mean squared distance of every view from the mean of the first `centres` ones (LeJEPA, eq. 6).

    Args:
        views: each `[B, K]`, the global ones first; the mean keeps its gradient.
        centres: number of global views.
    """
    z = torch.stack(tuple(views))  # [V, B, K]
    return (z - z[:centres].mean(dim=0)).square().mean()
