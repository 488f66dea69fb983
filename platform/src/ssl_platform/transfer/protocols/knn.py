"""Weighted k-nearest-neighbour vote in cosine distance (Wu et al., 2018; as used by DINO) on centred features.

The bank's mean is taken off first (SimpleShot: Wang et al., 2019, arXiv:1911.04623): what all items of a set share
makes their cosines alike, and says nothing about them.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_platform.measures import knn_vote
from ssl_platform.transfer.metrics import metrics_of
from ssl_platform.transfer.protocols.answer import Answer, Budget
from ssl_platform.transfer.protocols.splits import Labelled, Splits
from ssl_platform.transfer.task import Task

NEIGHBOURS = (1, 5, 10, 20, 50, 100, 200)
TEMPERATURE = 0.07


def targets_as_scores(bank: Labelled, task: Task) -> Tensor:
    """`[n, K]` one-hot classes, label vectors (nan: unknown) or `[n, 1]` values: what neighbours vote with."""
    if task.kind == "classification":
        return F.one_hot(bank.target.long(), len(task.classes)).float()
    target = bank.target.float()
    return target if target.ndim == 2 else target[:, None]


def vote(features: Tensor, bank: Labelled, task: Task, k: int) -> np.ndarray:
    """`[n, K]` scores (or `[n]` values) of `features [n, D]` from the `k` nearest rows of the bank.

    An unknown label votes neither way; a label that none of the neighbours knows gets its share of the whole bank.
    """
    middle, targets = bank.features.mean(dim=0), targets_as_scores(bank, task)
    scores = knn_vote(features - middle, bank.features - middle, targets, k=k, temperature=TEMPERATURE)
    scores = torch.where(scores.isnan(), targets.nanmean(dim=0).nan_to_num(0.0), scores)
    found: np.ndarray = scores.numpy()
    return found[:, 0] if task.kind == "regression" else found


def knn(splits: Splits, task: Task, budget: Budget | None = None) -> Answer:
    """Choose k on the validation split, then vote with train and validation rows. Nothing is drawn."""
    choose = next(iter(metrics_of(task.kind, task.positive_index).values()))
    best, best_value = NEIGHBOURS[0], -np.inf
    for k in (k for k in NEIGHBOURS if k <= len(splits.train)):
        if not len(splits.val):
            best = min(20, len(splits.train))
            break
        value = choose(splits.val.target.numpy(), vote(splits.val.features, splits.train, task, k))
        if value > best_value:
            best, best_value = k, value
    bank = splits.known
    return splits.final(lambda features: vote(features, bank, task, best), {"k": best, "temperature": TEMPERATURE})
