"""Clustering: classes without labels, from what lies near what (SCAN: Van Gansbeke et al., 2020, arXiv:2005.12320).

The nearest items of each are mined once; a linear head learns to put an item and its neighbours into one cluster; items
it is sure of then label their augmented views. The encoder stays frozen, so views are embedded once. Labels are used by
metrics alone. Beside it stands what k-means makes of the same features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_platform.errors import ConfigError
from ssl_platform.losses.scan import confident_cross_entropy, scan_terms
from ssl_platform.nn.clustering import closest, kmeans
from ssl_platform.transfer.cluster_metrics import adjusted_rand, matched_accuracy, mutual_information
from ssl_platform.transfer.protocols.answer import Answer, Budget, Function
from ssl_platform.transfer.protocols.splits import Splits
from ssl_platform.transfer.task import Task

ENTROPY_WEIGHT = 5.0
LR, SELF_LR = 1e-2, 1e-3
BATCH = 512
METRICS: dict[str, Function] = {"accuracy": matched_accuracy, "nmi": mutual_information, "ari": adjusted_rand}


@dataclass(frozen=True)
class ClusterHead:
    """A linear head on standardised features: `[n, D]` to logits `[n, C]`."""

    weight: Tensor
    bias: Tensor
    mean: Tensor
    std: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Logits of features."""
        return ((features - self.mean) / self.std) @ self.weight + self.bias


def mine(features: Tensor, k: int, chunk: int = 1024) -> Tensor:
    """`[n, k]` rows of the nearest others in cosine distance of centred features `[n, D]`, nearest first."""
    unit = F.normalize(features - features.mean(dim=0), dim=1)
    found = []
    for rows in torch.arange(len(unit)).split(chunk):
        alike = unit[rows] @ unit.T
        alike[torch.arange(len(rows)), rows] = -torch.inf
        found.append(alike.topk(min(k, len(unit) - 1), dim=1).indices)
    return torch.cat(found)


def fit_scan(features: Tensor, near: Tensor, clusters: int, heads: int, steps: int) -> tuple[ClusterHead, Tensor]:
    """The head of least loss over all items, and the losses of all heads `[H]`.

    Args:
        features: `[n, D]`.
        near: `[n, k]` from `mine`.
        clusters: C.
        heads: H, trained side by side from other weights.
        steps: of Adam.
    """
    mean, std = features.mean(0), features.std(0, correction=0).clamp_min(1e-6)
    x = (features - mean) / std
    weight = (torch.randn(heads, x.shape[1], clusters) * x.shape[1] ** -0.5).requires_grad_()
    bias = torch.zeros(heads, 1, clusters, requires_grad=True)
    optimiser = torch.optim.Adam([weight, bias], lr=LR)
    for _ in range(steps):
        rows = torch.randperm(len(x))[:BATCH]
        others = near[rows, torch.randint(near.shape[1], (len(rows),))]
        terms = scan_terms(x[rows] @ weight + bias, x[others] @ weight + bias)
        optimiser.zero_grad()
        (terms.consistency - ENTROPY_WEIGHT * terms.entropy).sum().backward()
        optimiser.step()
    with torch.no_grad():
        logits = x @ weight + bias
        each = [scan_terms(logits, logits[:, near[:, i]]) for i in range(near.shape[1])]
        loss = torch.stack([terms.consistency for terms in each]).mean(0) - ENTROPY_WEIGHT * each[0].entropy
    best = int(loss.argmin())
    return ClusterHead(weight[best].detach(), bias[best].detach(), mean, std), loss


def self_label(head: ClusterHead, features: Tensor, views: Tensor, threshold: float, steps: int) -> ClusterHead:
    """The head after training on augmented views of the items it is sure of.

    Args:
        head: from `fit_scan`.
        features: `[n, D]` of items.
        views: `[n, V, D]` of their augmented views.
        threshold: of the confidence.
        steps: of Adam.

    Raises:
        ValueError: it is sure of none.
    """
    weight, bias = head.weight.clone().requires_grad_(), head.bias.clone().requires_grad_()
    moving = ClusterHead(weight, bias, head.mean, head.std)
    optimiser = torch.optim.Adam([weight, bias], lr=SELF_LR)
    for _ in range(steps):
        view = torch.randint(views.shape[1], (len(views),))
        strong = views[torch.arange(len(views)), view]
        optimiser.zero_grad()
        confident_cross_entropy(moving(features), moving(strong), threshold).backward()
        optimiser.step()
    return ClusterHead(weight.detach(), bias.detach(), head.mean, head.std)


def best_kmeans(points: Tensor, clusters: int, seed: int, starts: int) -> tuple[Tensor, Tensor]:
    """`[C, D]` centroids of least distance among several starts, and the `[n]` int64 nearest one of each point."""
    found = [kmeans(points, clusters, seed + start) for start in range(starts)]
    return min(found, key=lambda one: float(closest(points, one[0])[1].sum()))


def clustering(splits: Splits, task: Task, budget: Budget | None = None) -> Answer:
    """Clusters of the test items by a head that saw no label, and by k-means.

    Args:
        splits: features `[n, 1 + V, D]`, each item's own and those of augmented views.
        task: its classes are as many as the clusters unless `probe.clusters` says otherwise.
        budget: steps of the clustering loss (a quarter as many of self-labelling), heads, neighbours, threshold.

    Raises:
        ConfigError: there are no more items than clusters.
    """
    budget = budget or Budget()
    known, clusters = splits.known, budget.clusters or len(task.classes)
    if len(known) <= clusters:
        raise ConfigError(f"--protocol clustering: {len(known)} items to learn from make no {clusters} clusters")
    features, views = known.features[:, 0], known.features[:, 1:]
    near = mine(features, budget.mined)
    details: dict[str, Any] = {
        "clusters": clusters,
        "neighbours": near.shape[1],
        "neighbour_purity": float((known.target[near] == known.target[:, None]).float().mean()),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(budget.seed)
        head, losses = fit_scan(features, near, clusters, budget.heads, budget.steps)
        details["losses"] = losses.tolist()
        try:
            if views.shape[1]:
                head = self_label(head, features, views, budget.threshold, max(1, budget.steps // 4))
            details["self_labelling"] = "done" if views.shape[1] else "left out: probe.views=0"
        except ValueError as error:
            details["self_labelling"] = f"left out: {error}; lower probe.threshold"
        centroids, _ = best_kmeans((features - head.mean) / head.std, clusters, budget.seed, budget.heads)
    test = splits.open()
    asked = test.features[:, 0]
    alike = closest((asked - head.mean) / head.std, centroids)[0]
    found = np.stack([head(asked).argmax(dim=1).numpy(), alike.numpy()], axis=1)
    columns = ("scan", "kmeans")
    functions = {
        f"{name}{end}": _of_column(metric, column)
        for column, end in enumerate(("", "_kmeans"))
        for name, metric in METRICS.items()
    }
    return Answer(test.target.numpy(), found, test.groups, test.ids, details, functions, columns)


def _of_column(metric: Function, column: int) -> Function:
    return lambda target, score: metric(target, score[:, column])
