"""Cluster assignments of a batch or a whole set: Sinkhorn-Knopp and k-means. Nothing here has a gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

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


@torch.no_grad()
def balanced_labels(
    features: Tensor,
    logits: Callable[[Tensor], Tensor],
    power: float = 25.0,
    tolerance: float = 0.1,
    chunk: int = 8192,
    most: int = 10_000,
) -> Tensor:
    """Labels of a whole set that use every class equally and otherwise agree with predictions (Asano et al., 2020).

    The optimal transport of the predicted probabilities to equal classes, with `power` over the entropy's weight
    (SeLa, eq. 5-7), on logarithms in float64: the ranks share the rows, and logits are made a chunk at a time.

    Args:
        features: `[n, D]`, equal on all ranks (a bank).
        logits: `[m, D]` features to `[m, K]` scores.
        power: lambda, above 0; towards infinity the transport becomes the linear programme's.
        tolerance: stop when the samples' scales change by less, summed over all relative changes.
        chunk: rows whose scores are held at once, unless those of all rows are few.
        most: iterations.

    Returns:
        `[n]` int64, equal on all ranks.
    """
    share = distributed.share(torch.arange(len(features), device=features.device))
    plan = Transport(features[share], len(features), logits, power, chunk)
    for iteration in range(1, most + 1):
        change = plan.iterate()
        if iteration % 10 == 0 and float(distributed.all_sum(change)) < tolerance:
            break
    found = torch.zeros(len(features), dtype=torch.int64, device=features.device)
    found[share] = torch.cat([(part + plan.classes).argmax(dim=1) for part in plan.parts()])
    return distributed.all_sum(found)


class Transport:
    """The plan `exp(power * log p + classes + samples)` of a rank's rows, whose two scales are iterated.

    Args:
        rows: `[m, D]` this rank's features.
        total: rows n of all ranks.
        logits: features to `[.., K]` scores.
        power: of the probabilities.
        chunk: rows whose scores are held at once, unless those of all rows are few.

    Attributes:
        classes, samples: `[K]` and `[m]` logarithms of the scales.
    """

    HELD = 2**26  # scores kept in memory, half a gigabyte

    def __init__(self, rows: Tensor, total: int, logits: Callable[[Tensor], Tensor], power: float, chunk: int) -> None:
        self.blocks, self.logits, self.power, self.total = rows.split(chunk), logits, power, total
        first = logits(rows[:1])
        self.classes = first.new_zeros(first.shape[1], dtype=torch.float64)
        self.samples = self.classes.new_full((len(rows),), -math.log(total))
        self.held = list(self._made()) if len(rows) * first.shape[1] <= self.HELD else None

    def _made(self) -> Iterator[Tensor]:
        for rows in self.blocks:
            yield self.power * self.logits(rows).double().log_softmax(dim=1)

    def parts(self) -> Iterator[Tensor]:
        """`[m, K]` scaled log-probabilities, a chunk of rows at a time."""
        return self._made() if self.held is None else iter(self.held)

    def iterate(self) -> Tensor:
        """Give every sample, then every class its mass; return the summed relative change of the samples' scales."""
        scales, sums = [], []
        for part in self.parts():
            scales.append(-math.log(self.total) - (part + self.classes).logsumexp(dim=1))
            sums.append((part + scales[-1][:, None]).logsumexp(dim=0))
        samples = torch.cat(scales)
        change = ((self.samples - samples).exp() - 1).abs().sum()
        self.samples = samples
        self.classes = -math.log(len(self.classes)) - _global_logsumexp(torch.stack(sums))
        return change


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
    return F.normalize(points[_chosen(len(points), clusters, seed).to(points.device)], dim=1)


def _chosen(count: int, clusters: int, seed: int) -> Tensor:
    """`[K]` different numbers below `count`."""
    if clusters > count:
        raise ConfigError(
            f"{clusters} clusters of {count} items: lower the objective's number of prototypes, or give more data"
        )
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:clusters]


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
def kmeans(points: Tensor, clusters: int, seed: int, iterations: int = 50, chunk: int = 8192) -> tuple[Tensor, Tensor]:
    """Cluster by squared distance (Lloyd, 1982); the ranks share the work.

    An empty cluster moves to the point that lies farthest from its centroid, several to as many such points.

    Args:
        points: `[n, D]`, equal on all ranks (a bank).
        clusters: K, at most n.
        seed: of the draw of the first centroids among the points.
        iterations: assignments followed by an update.
        chunk: points whose similarities are held at once.

    Returns:
        `[K, D]` centroids and the `[n]` int64 nearest one of each point, equal on all ranks.

    Raises:
        ConfigError: there are fewer points than clusters.
    """
    centroids = points[_chosen(len(points), clusters, seed).to(points.device)]
    share = distributed.share(torch.arange(len(points), device=points.device))
    own = points[share]
    for _ in range(iterations):
        labels, away = closest(own, centroids, chunk)
        sums = distributed.all_sum(torch.zeros_like(centroids).index_add_(0, labels, own))
        counts = distributed.all_sum(away.new_zeros(clusters).index_add_(0, labels, torch.ones_like(away)))
        everyone = distributed.all_sum(away.new_zeros(len(points)).index_copy_(0, share, away))
        far = points[everyone.topk(clusters).indices]
        empty = counts == 0
        moved = far[(empty.cumsum(0) - 1).clamp_min(0)]
        centroids = torch.where(empty[:, None], moved, sums / counts.clamp_min(1)[:, None])
    centroids = distributed.broadcast(centroids)
    labels = torch.zeros(len(points), dtype=torch.int64, device=points.device)
    return centroids, distributed.all_sum(labels.index_copy_(0, share, closest(own, centroids, chunk)[0]))


@torch.no_grad()
def closest(points: Tensor, centroids: Tensor, chunk: int = 8192) -> tuple[Tensor, Tensor]:
    """The centroid at the least distance from each point.

    Args:
        points: `[n, D]`.
        centroids: `[K, D]`.
        chunk: points whose similarities are held at once.

    Returns:
        `[n]` int64 and the `[n]` squared distances.
    """
    # |x - c|^2 = |x|^2 - 2 (x . c - |c|^2 / 2), a dot product with one more dimension.
    raised = torch.cat((points, torch.ones_like(points[:, :1])), dim=1)
    labels, value = nearest(raised, torch.cat((centroids, -0.5 * centroids.square().sum(1, keepdim=True)), 1), chunk)
    return labels, (points.square().sum(1) - 2 * value).clamp_min(0)


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
