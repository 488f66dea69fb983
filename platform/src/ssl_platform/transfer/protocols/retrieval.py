"""Retrieval: which other items look like this one, in cosine distance of frozen features.

Queries are the test items. The gallery is every other labelled item, without those of the query's own group: what the
same patient, slide, place or speaker has in common is not what was asked for. Features are centred with the mean of the
train and validation items. Nothing is learnt.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_platform.transfer.metrics import average_precision
from ssl_platform.transfer.protocols.answer import Answer, Budget, mean_of_column
from ssl_platform.transfer.protocols.splits import Labelled, Splits
from ssl_platform.transfer.task import Task


def relevance(query: Tensor, gallery: Tensor) -> Tensor:
    """`[q, g]` bool, whether an item of the gallery is what a query asks for.

    Args:
        query: `[q]` classes, or `[q, K]` labels (nan: unknown, counts as absent).
        gallery: likewise. Classes must be equal; of labels one must be shared.
    """
    if query.ndim == 1:
        return query[:, None] == gallery[None]
    return (query == 1).float() @ (gallery == 1).float().T > 0


def figures(
    query: Labelled, gallery: Labelled, centre: Tensor, recall: tuple[int, ...]
) -> tuple[np.ndarray, dict[str, int]]:
    """`[q, 1 + len(recall)]` average precision and hits within the first k of each query, and counts.

    Both are nan where nothing is relevant. Average precision is over the whole gallery (items at one distance share a
    rank); a hit within k is 1 when one of the k nearest is relevant.
    """
    near = F.normalize(query.features - centre, dim=1) @ F.normalize(gallery.features - centre, dim=1).T
    wanted = relevance(query.target, gallery.target).numpy()
    theirs = np.asarray(gallery.groups)
    found = np.full((len(query), 1 + len(recall)), np.nan)
    for i, group in enumerate(query.groups):
        other = theirs != group
        relevant, score = wanted[i, other], near[i, torch.from_numpy(other)].numpy()
        if not relevant.any():
            continue
        ranked = relevant[np.argsort(-score, kind="stable")]
        found[i] = [average_precision(relevant.astype(int), score), *(float(ranked[:k].any()) for k in recall)]
    unanswered = int(np.isnan(found[:, 0]).sum())
    return found, {"queries": len(query) - unanswered, "without_relevant": unanswered, "gallery": len(gallery)}


def retrieval(splits: Splits, task: Task, budget: Budget | None = None) -> Answer:
    """Mean average precision and recall at k of the test items as queries."""
    budget = budget or Budget()
    known = splits.known
    test = splits.open()
    found, counts = figures(test, known.with_(test), known.features.mean(dim=0), budget.recall)
    columns = ("map", *(f"recall@{k}" for k in budget.recall))
    details: dict[str, Any] = {**counts, "own_group": "excluded"}
    functions = {name: mean_of_column(i) for i, name in enumerate(columns)}
    return Answer(test.target.numpy(), found, test.groups, test.ids, details, functions, columns)
