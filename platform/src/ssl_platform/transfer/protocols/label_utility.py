"""The label-utility curve: what an encoder is worth in labels (Newell, Deng, 2020, arXiv:2003.14323).

A linear probe at a log-spaced grid of label counts gives the curve of the encoder; `transfer.utility` inverts the curve
of training without pretraining to tell how many labels that would have taken.
"""

from __future__ import annotations

import math

from ssl_platform.errors import ConfigError
from ssl_platform.transfer.metrics import metrics_of
from ssl_platform.transfer.protocols.answer import Answer, Budget
from ssl_platform.transfer.protocols.semi_supervised import labels_of, over_draws
from ssl_platform.transfer.protocols.splits import Splits
from ssl_platform.transfer.task import Task


def grid_of(labels: int, classes: int) -> tuple[int, ...]:
    """Halves of the labels down to one a class, ascending: 320 labels of 10 classes are 10, 20, 40, 80, 160, 320."""
    least = max(2, classes)
    halvings = max(0, math.floor(math.log2(max(labels, 1) / least) + 1e-9))
    return tuple(max(least, round(labels / 2**h)) if labels > least else labels for h in range(halvings, -1, -1))


def label_utility(splits: Splits, task: Task, budget: Budget | None = None) -> Answer:
    """The headline metric of the task at every count of labels, over `budget.draws`: columns `METRIC@COUNT`.

    Raises:
        ConfigError: a count is larger than the training labels.
    """
    budget = budget or Budget()
    counts = sorted(set(budget.counts or grid_of(budget.smallest or len(splits.train), len(task.classes))))
    if budget.counts and counts[-1] > len(splits.train):
        raise ConfigError(f"probe.counts={counts[-1]}: there are {len(splits.train)} training labels; ask for fewer")
    labels = labels_of(splits.train, task)
    chosen = {f"{count}": [labels.of_count(count, draw) for draw in budget.draws] for count in counts}
    metric, function = next(iter(metrics_of(task.kind, task.positive_index).items()))
    found = over_draws(splits, task, chosen, budget.draws, {metric: function})
    found.details |= {"counts": counts, "metric": metric}
    return found
