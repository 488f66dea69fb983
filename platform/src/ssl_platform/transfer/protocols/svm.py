"""Linear support-vector machine on frozen, standardised features: one against the rest, squared hinge loss.

The protocol of point clouds (a linear SVM on ModelNet40: Sharma et al., Self-supervised few-shot learning on point
clouds, 2020; Afham et al., CrossPoint, 2022). Solved to convergence by L-BFGS in the primal (Chapelle, Training a
support vector machine in the primal, 2007); the bias is not penalised. C is chosen on the validation split among
values that are declared before (`probe.costs`).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_platform.transfer.metrics import metrics_of
from ssl_platform.transfer.protocols.answer import Answer, Budget, Predict
from ssl_platform.transfer.protocols.linear import minimise
from ssl_platform.transfer.protocols.splits import Labelled, Splits
from ssl_platform.transfer.task import Task


def fit_svm(bank: Labelled, task: Task, cost: float) -> Predict:
    """Fit one machine a class and return what predicts `[n, K]` margins.

    Args:
        bank: training rows; labels that are nan count nowhere.
        task: classes, or several labels.
        cost: C, weight of the summed squared hinge beside `|w|^2 / 2`.
    """
    x = bank.features.double()
    mean, std = x.mean(0), x.std(0, correction=0).clamp_min(1e-6)
    x = (x - mean) / std
    if task.kind == "classification":
        side = 2 * F.one_hot(bank.target.long(), len(task.classes)).double() - 1
    else:
        side = 2 * bank.target.double() - 1
    known = ~side.isnan()
    side = torch.nan_to_num(side)

    def objective(weight: Tensor, bias: Tensor) -> Tensor:
        hinge = (1 - side * (x @ weight + bias)).clamp_min(0) * known
        return (0.5 * weight.square().sum() + cost * hinge.square().sum()) / (cost * len(x))

    weight, bias = minimise(objective, x.shape[1], len(task.classes))
    return lambda features: (((features.double() - mean) / std) @ weight + bias).numpy()


def svm(splits: Splits, task: Task, budget: Budget | None = None) -> Answer:
    """Choose C among `budget.costs` on the validation split, refit on train and validation rows. Nothing is drawn.

    Of equal costs the smallest is taken; without validation items the middle one. `details` hold what each reached.
    """
    costs = sorted((budget or Budget()).costs)
    choose = next(iter(metrics_of(task.kind, task.positive_index).values()))
    reached = [
        choose(splits.val.target.numpy(), fit_svm(splits.train, task, cost)(splits.val.features))
        for cost in costs
        if len(splits.val)
    ]
    best = int(np.nanargmax(reached)) if reached and not np.isnan(reached).all() else (len(costs) - 1) // 2
    tried = {f"{cost:g}": value for cost, value in zip(costs, reached, strict=False)}
    return splits.final(fit_svm(splits.known, task, costs[best]), {"C": costs[best], "validation": tried})
