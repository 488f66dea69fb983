"""Losses that keep outputs spread: the entropy of a mean distribution, and that of points on the sphere."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform import distributed
from ssl_platform.losses.precision import full_precision


@full_precision
def mean_entropy_gap(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """`ln K - H(mean of softmax(logits / temperature))`: what "me-max" minimises (Assran et al., 2022, MSN, eq. 1).

    Args:
        logits: `[..., K]`; the mean is over the rows of all ranks, as many on every rank.
        temperature: above 0.

    Returns:
        Scalar in `[0, ln K]`: 0 where the mean is uniform, ln K where all rows name one output.
    """
    rows = (logits / temperature).softmax(dim=-1).flatten(0, -2)
    mean = distributed.all_mean(rows.mean(dim=0))
    return math.log(logits.shape[-1]) + torch.xlogy(mean, mean.clamp_min(torch.finfo(mean.dtype).tiny)).sum()


@full_precision
def koleo(x: Tensor, eps: float = 1e-8) -> Tensor:
    """`-mean ln(distance to the nearest neighbour)` on the unit sphere (Sablayrolles et al., 2019, eq. 2).

    Up to a constant the Kozachenko-Leonenko estimate of minus the differential entropy: it falls as points spread.

    Args:
        x: `[B, D]` of any length; neighbours are sought in the rows of all ranks.
        eps: added to differences and distances, so that equal points have a finite value and gradient.

    Returns:
        Scalar; `-ln(2) / 2` for two orthogonal points.

    Raises:
        ValueError: there is one point only, which has no neighbour.
    """
    if len(x) * distributed.world() < 2:
        raise ValueError("koleo needs at least 2 samples in the global batch, got 1")
    own = F.normalize(x, dim=1)
    everything = distributed.gather(own)
    with torch.no_grad():
        place = torch.arange(len(x), device=x.device)[:, None] + distributed.offset(len(x))
        nearest = (own @ everything.T).scatter(1, place, -torch.inf).argmax(dim=1)
    return -(F.pairwise_distance(own, everything[nearest], eps=eps) + eps).log().mean()
