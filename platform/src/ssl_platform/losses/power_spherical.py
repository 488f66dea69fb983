"""The power spherical distribution: a mean direction and a concentration on the unit sphere, in closed form."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ssl_platform.losses.precision import full_precision

LEAST = 1e-6  # of 1 + cosine: the density at the point opposite to the mean direction is zero


@full_precision
def log_power_spherical(cosine: Tensor, concentration: Tensor, dim: int) -> Tensor:
    """Log density at a point by its cosine with the mean direction (De Cao, Aziz, 2020, eq. 7-8).

    `(1 + cosine)^kappa / N(kappa)`, whose mean cosine is `kappa / (kappa + dim - 1)`. Computed in float64, for
    log-gamma functions of thousands are subtracted.

    Args:
        cosine: `[...]` in `[-1, 1]`.
        concentration: kappa, `[...]` of at least 0; 0 is the uniform distribution.
        dim: D, dimensions of the space around the sphere, at least 2.

    Returns:
        `[...]` float64.
    """
    b = (dim - 1) / 2
    kappa = concentration.double()
    a = b + kappa
    log_normaliser = (a + b) * math.log(2) + b * math.log(math.pi) + torch.lgamma(a) - torch.lgamma(a + b)
    return kappa * (1 + cosine.double()).clamp_min(LEAST).log() - log_normaliser


def log_uniform_sphere(dim: int) -> float:
    """Log density of the uniform distribution: minus the log of the unit sphere's area in `dim` dimensions."""
    return math.lgamma(dim / 2) - math.log(2) - dim / 2 * math.log(math.pi)
