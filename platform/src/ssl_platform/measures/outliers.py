"""How far a vector lies from a set of others."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def neighbour_distance(queries: Tensor, bank: Tensor, k: int = 5, chunk: int = 1024) -> Tensor:
    """Distance to the k-th nearest of a bank, of unit vectors (Sun et al., ICML 2022, arXiv:2204.06507).

    Args:
        queries: `[n, D]`.
        bank: `[m, D]`.
        k: at most m.
        chunk: queries compared at once.

    Returns:
        `[n]` in `[0, 2]`.
    """
    unit = F.normalize(bank.double(), dim=1)
    parts = F.normalize(queries.double(), dim=1).split(chunk)
    found = [torch.cdist(part, unit).topk(min(k, len(bank)), dim=1, largest=False).values[:, -1] for part in parts]
    return torch.cat(found) if found else queries.new_zeros(0)


@torch.no_grad()
def shrunk_covariance(x: Tensor) -> tuple[Tensor, Tensor]:
    """Covariance `[D, D]` of rows `[n, D]`, shrunk towards a multiple of the identity, and the mean `[D]`.

    The shrinkage is the one of least expected squared error (Ledoit, Wolf, 2004, lemma 3.3): the covariance of fewer
    rows than dimensions is still invertible.
    """
    x = x.double()
    mean = x.mean(dim=0)
    x = x - mean
    n, dim = x.shape
    plain = x.T @ x / n
    scale = plain.diagonal().mean()
    away = plain.square().sum() - dim * scale.square()  # squared distance of plain from scale * identity
    spread = (x.square().sum(dim=1).square().sum() / n - plain.square().sum()) / n
    share = (spread / away).clamp(0, 1) if float(away) > 0 else torch.ones((), dtype=x.dtype)
    return (1 - share) * plain + share * scale * torch.eye(dim, dtype=x.dtype), mean


@torch.no_grad()
def mahalanobis(queries: Tensor, covariance: Tensor, mean: Tensor) -> Tensor:
    """`[n]` distances of `[n, D]` queries from a mean, in deviations along each direction."""
    factor = torch.linalg.cholesky(covariance)
    white = torch.linalg.solve_triangular(factor, (queries.double() - mean).T, upper=False)
    return white.norm(dim=0)
