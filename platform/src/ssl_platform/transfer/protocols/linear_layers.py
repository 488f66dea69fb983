"""Linear probe whose block and pooling are chosen on the validation split, besides the weight decay.

Two steps keep the cost near that of the plain probe: every candidate is fitted once at a middle weight decay, then the
best one at every decay. Fitted to convergence by L-BFGS as `linear` is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ssl_platform.transfer.layers import POOLED
from ssl_platform.transfer.metrics import metrics_of
from ssl_platform.transfer.protocols.answer import Answer, Budget
from ssl_platform.transfer.protocols.linear import choose_linear, fit_linear
from ssl_platform.transfer.protocols.splits import Labelled, Splits
from ssl_platform.transfer.task import Task

DECAY = 1e-2  # that candidates are compared at


def candidate(part: Labelled, columns: slice) -> Labelled:
    """The items with the columns of one candidate as features."""
    return replace(part, features=part.features[:, columns])


def linear_layers(splits: Splits, task: Task, budget: Budget | None = None) -> Answer:
    """Choose block, pooling and weight decay on the validation split, refit on all that is known. Nothing is drawn.

    Without validation items the encoder's pooled vector is taken.
    """
    choose = next(iter(metrics_of(task.kind, task.positive_index).values()))
    target = splits.val.target.numpy()
    reached: dict[str, float] = {}
    for name, columns in splits.parts.items() if len(splits.val) else ():
        fit = fit_linear(candidate(splits.train, columns), task, DECAY)
        reached[name] = choose(target, fit(candidate(splits.val, columns).features))
    best = max(reached, key=lambda name: np.nan_to_num(reached[name], nan=-np.inf)) if reached else POOLED
    own = splits.parts[best]
    decay = choose_linear(candidate(splits.train, own), candidate(splits.val, own), task).decay
    fit = fit_linear(candidate(splits.known, own), task, decay)
    details = {"features": best, "weight_decay": decay, "validation": reached}
    return splits.final(lambda features: fit(features[:, own]), details)
