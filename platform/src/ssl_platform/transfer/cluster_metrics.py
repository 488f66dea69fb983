"""How well clusters are classes: metrics of `[n]` classes and `[n]` cluster numbers, on numpy arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchmetrics.functional.clustering import adjusted_rand_score, normalized_mutual_info_score


def matched_accuracy(target: np.ndarray, cluster: np.ndarray) -> float:
    """Share of items in the cluster of their class, when clusters are given to classes one to one as suits best.

    The Hungarian accuracy of deep clustering (Yang et al., 2010; Xie et al., DEC, 2016, equation 10). Clusters beyond
    the number of classes go to none.
    """
    table = _table(target, cluster)
    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum() / len(target))


def purity(target: np.ndarray, cluster: np.ndarray) -> float:
    """Share of items of the class that most items of their cluster have; rises with the number of clusters."""
    return float(_table(target, cluster).max(axis=0).sum() / len(target))


def mutual_information(target: np.ndarray, cluster: np.ndarray) -> float:
    """Mutual information over the mean of both entropies, in `[0, 1]`."""
    return _scored(normalized_mutual_info_score, target, cluster)


def adjusted_rand(target: np.ndarray, cluster: np.ndarray) -> float:
    """Share of pairs both agree on, adjusted for chance: 0 on average for random clusters, 1 for the classes."""
    return _scored(adjusted_rand_score, target, cluster)


def _table(target: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """`[classes, clusters]` items of each class in each cluster."""
    table = np.zeros((int(target.max()) + 1, int(cluster.max()) + 1), dtype=np.int64)
    np.add.at(table, (target, cluster.astype(np.int64)), 1)
    return table


def _scored(metric: Callable[[Tensor, Tensor], Tensor], target: np.ndarray, cluster: np.ndarray) -> float:
    found, known = (torch.from_numpy(values.astype(np.int64)) for values in (cluster, target))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse invariant checks")  # of a table that torchmetrics makes itself
        return float(metric(found, known))
