"""Anomaly scores: how unlike the normal items of train and validation a test item is, in frozen features.

The class that `labels.positive` names (the second of two by default) is the anomaly; among more classes and without a
name each is held out in turn. Nothing is learnt from items of that class, and nothing is chosen: two scores are
declared before and both reported, the distance to the fifth neighbour (Sun et al., 2022, arXiv:2204.06507) and the
Mahalanobis distance from one Gaussian (Rippel et al., 2021, arXiv:2005.14140).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ssl_platform.errors import LabelError
from ssl_platform.measures.outliers import mahalanobis, neighbour_distance, shrunk_covariance
from ssl_platform.transfer.metrics import auc, average_precision, mean_known
from ssl_platform.transfer.protocols.answer import Answer, Budget, Function
from ssl_platform.transfer.protocols.splits import Splits
from ssl_platform.transfer.task import Task

NEIGHBOURS = 5
SCORES = ("knn", "mahalanobis")
METRICS: dict[str, Function] = {"auroc": auc, "average_precision": average_precision}


def anomaly_scores(queries: Tensor, normal: Tensor) -> Tensor:
    """`[n, 2]` scores of queries `[n, D]` beside normal items `[m, D]`: larger is less normal, in order of `SCORES`."""
    covariance, mean = shrunk_covariance(normal)
    # Features that are the same in all items leave a direction without spread.
    least = 1e-9 * covariance.diagonal().mean().clamp_min(1e-12)
    covariance = covariance + least * torch.eye(len(mean), dtype=covariance.dtype)
    middle = normal.mean(dim=0)
    near = neighbour_distance(queries - middle, normal - middle, NEIGHBOURS)
    return torch.stack([near.double(), mahalanobis(queries, covariance, mean)], dim=1)


def anomaly(splits: Splits, task: Task, budget: Budget | None = None) -> Answer:
    """Area under the ROC curve and average precision of both scores, means over the classes held out.

    Raises:
        LabelError: train and validation have fewer than two normal items.
    """
    known = splits.known
    held = [task.positive_index] if task.positive_index is not None else list(range(len(task.classes)))
    normal = [known.features[known.target != c] for c in held]
    for c, rows in zip(held, normal, strict=True):
        if len(rows) < 2:
            raise LabelError(
                f"--protocol anomaly: with {task.classes[c]!r} as the anomaly {len(rows)} normal items are left to "
                "learn from: label more, or name another class with labels.positive"
            )
    test = splits.open()
    found = torch.cat([anomaly_scores(test.features, rows) for rows in normal], dim=1).numpy()
    columns = tuple(f"{name}:{task.classes[c]}" for c in held for name in SCORES)
    functions = {
        f"{metric}_{name}": _held_out(function, held, at)
        for at, name in enumerate(SCORES)
        for metric, function in METRICS.items()
    }
    if len(held) > 1:
        functions |= {
            f"auroc_{name}:{task.classes[c]}": _held_out(auc, [c], len(SCORES) * i + at)
            for i, c in enumerate(held)
            for at, name in enumerate(SCORES)
        }
    details = {
        "anomaly": [task.classes[c] for c in held],
        "normal_items": [len(rows) for rows in normal],
        "neighbours": NEIGHBOURS,
    }
    return Answer(test.target.numpy(), found, test.groups, test.ids, details, functions, columns)


def _held_out(metric: Function, held: list[int], first: int) -> Function:
    """Mean over the classes held out of a metric of one score, whose columns begin at `first`."""

    def mean(target: np.ndarray, score: np.ndarray) -> float:
        found = [metric((target == c).astype(int), score[:, first + len(SCORES) * i]) for i, c in enumerate(held)]
        return mean_known(found)

    return mean
