"""Cluster assignments over the global batch: Sinkhorn-Knopp and spherical k-means. Nothing here has a gradient."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform import distributed
from ssl_platform.errors import ConfigError
from ssl_platform.losses.precision import widen


@torch.no_grad()
def sinkhorn(
    scores: Tensor,
    eps: float = 0.05,
    iterations: int = 3,
    *,
    per_position: bool = False,
    replicated: Tensor | None = None,
    valid: Tensor | None = None,
) -> Tensor:
    """Soft codes that use every prototype equally (Cuturi, 2013; Caron et al., 2020, SwAV, section 3.2).

    Works on logarithms in at least float32: `exp(1 / 0.04)` already leaves the range of float16, and a score far below
    the largest would vanish in float32.

    Args:
        scores: `[B, K]` or `[B, ..., K]` similarities of this rank's samples (or tokens) with K prototypes.
        eps: the entropy's weight; towards 0 the assignment becomes hard.
        iterations: normalisations of prototypes then samples, at least 1.
        per_position: balance over the batch at every position in between on its own (CAPI), rather than over all rows.
        replicated: `[Q, K]` (or `[Q, ..., K]`) further scores that are equal on all ranks, such as a queue's: they take
            part once and get no codes.
        valid: `[B, ...]` bool, which rows count (their number may differ by rank). None: all.

    Returns:
        Shape of `scores`, at least float32: every valid row sums to 1, invalid rows are 0, and with growing
        `iterations` the sum over all ranks' rows approaches (rows / K) for each prototype.

    Raises:
        ValueError: `iterations` is below 1.
    """
    if iterations < 1:
        raise ValueError(f"sinkhorn needs at least 1 iteration, got {iterations}")
    if scores.ndim > 2 and not per_position:
        flat = None if valid is None else valid.flatten()
        extra = None if replicated is None else replicated.flatten(0, -2)
        return sinkhorn(scores.flatten(0, -2), eps, iterations, replicated=extra, valid=flat).view(scores.shape)
    log_codes = widen(scores.detach()) / eps
    left_out = None if valid is None else ~valid[..., None]
    if replicated is not None:
        own = distributed.share(widen(replicated.detach())) / eps
        log_codes = torch.cat((log_codes, own))
        if left_out is not None:
            left_out = torch.cat((left_out, left_out.new_zeros(*own.shape[:-1], 1)))
    for _ in range(iterations):
        counted = log_codes if left_out is None else log_codes.masked_fill(left_out, -torch.inf)
        log_codes = log_codes - _global_logsumexp(counted)
        log_codes = log_codes - log_codes.logsumexp(dim=-1, keepdim=True)
    codes = log_codes.exp()
    return (codes if left_out is None else codes.masked_fill(left_out, 0.0))[: len(scores)]


def _global_logsumexp(x: Tensor) -> Tensor:
    """Log of the sum of exponentials over all ranks' rows: `[B, ..., K]` to `[..., K]`; 0 where every row is -inf."""
    top = distributed.all_max(x.amax(dim=0))
    top = torch.where(torch.isfinite(top), top, torch.zeros_like(top))
    total = distributed.all_sum((x - top).exp().sum(dim=0))
    return torch.where(total > 0, total.log() + top, torch.zeros_like(total))


@torch.no_grad()
def initial_centroids(points: Tensor, clusters: int, seed: int) -> Tensor:
    """`clusters` different rows drawn at random, as unit vectors.

    Args:
        points: `[n, D]`, equal on all ranks (a bank), so that the centroids are.
        clusters: K.
        seed: of the draw.

    Raises:
        ConfigError: there are fewer points than clusters.
    """
    if clusters > len(points):
        raise ConfigError(
            f"{clusters} clusters of {len(points)} items: lower the objective's number of prototypes, or give more data"
        )
    chosen = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))[:clusters]
    return F.normalize(points[chosen.to(points.device)], dim=1)


@torch.no_grad()
def spherical_kmeans(points: Tensor, centroids: Tensor, iterations: int = 10, chunk: int = 8192) -> Tensor:
    """Cluster unit vectors by cosine (Dhillon, Modha, 2001); the ranks share the work.

    The mean cosine of points with their `nearest` centroid never falls with growing `iterations`. An empty cluster
    keeps its centroid.

    Args:
        points: `[n, D]`, equal on all ranks (a bank), scaled to unit length here.
        centroids: `[K, D]` the start, equal on all ranks.
        iterations: assignments followed by an update, at least 0.
        chunk: points whose similarities are held at once.

    Returns:
        `[K, D]` unit vectors, equal on all ranks.
    """
    own, centroids = F.normalize(distributed.share(points), dim=1), F.normalize(centroids, dim=1)
    for _ in range(iterations):
        assignment, _ = nearest(own, centroids, chunk)
        sums = distributed.all_sum(torch.zeros_like(centroids).index_add_(0, assignment, own))
        # A sum of length 0 has no direction: an empty cluster, or points that cancel.
        centroids = torch.where(sums.norm(dim=1, keepdim=True) > 0, F.normalize(sums, dim=1), centroids)
    return distributed.broadcast(centroids)


@torch.no_grad()
def nearest(points: Tensor, centroids: Tensor, chunk: int = 8192) -> tuple[Tensor, Tensor]:
    """The most similar centroid of each point.

    Args:
        points: `[n, D]`.
        centroids: `[K, D]`.
        chunk: points whose similarities are held at once.

    Returns:
        `[n]` int64 and the `[n]` dot products.
    """
    best = [(block @ centroids.T).max(dim=1) for block in points.split(chunk)]
    return torch.cat([b.indices for b in best]), torch.cat([b.values for b in best])
