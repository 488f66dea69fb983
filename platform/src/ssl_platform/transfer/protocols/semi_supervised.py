"""Semi-supervised evaluation: a linear probe of shares of the training labels, over fixed stratified draws.

The draws are those of `labels.fraction` and `labels.draw`: the same for every encoder and seed. Weight decay is chosen
on all validation items, as in the published protocol of 1 % and 10 % of ImageNet (Chen et al., SimCLR, 2020, section
B.5), and nothing else is learnt from them. Intervals are Student intervals over the draws: how far the mean is known
for these test items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ssl_platform.data.fraction import Labels
from ssl_platform.transfer.metrics import metrics_of
from ssl_platform.transfer.protocols.answer import Answer, Budget, Function, mean_of_column
from ssl_platform.transfer.protocols.linear import choose_linear
from ssl_platform.transfer.protocols.splits import Labelled, Splits
from ssl_platform.transfer.task import Task

DRAWS = "label draws"


def labels_of(part: Labelled, task: Task) -> Labels:
    """What labels are drawn of."""
    return Labels(part.target.numpy(), part.groups, part.ids, task.kind)


def over_draws(
    splits: Splits,
    task: Task,
    chosen: Mapping[str, Sequence[Sequence[int]]],
    draws: Sequence[int],
    functions: Mapping[str, Function],
) -> Answer:
    """Metrics of linear probes that are fitted to some of the training items.

    Args:
        splits: train is drawn from, val chooses the weight decay.
        task: decides loss and metrics.
        chosen: training rows by what the figures are called, one list a draw.
        draws: numbers of the draws.
        functions: metrics by name.

    Returns:
        A row a draw, a column `METRIC@NAME` each.
    """
    fits = {
        name: [choose_linear(splits.train.some(rows), splits.val, task) for rows in lists]
        for name, lists in chosen.items()
    }
    details = {
        "labels": {name: [len(rows) for rows in lists] for name, lists in chosen.items()},
        "weight_decay": {name: [fit.decay for fit in found] for name, found in fits.items()},
        "draws": list(draws),
    }
    test = splits.open()
    target = test.target.numpy()
    columns = tuple(f"{metric}@{name}" for name in chosen for metric in functions)
    scores = {name: [fit(test.features) for fit in found] for name, found in fits.items()}
    score = np.array(
        [
            [function(target, scores[name][i]) for name in chosen for function in functions.values()]
            for i in range(len(draws))
        ]
    )
    names = [f"draw {draw}" for draw in draws]
    means = {column: mean_of_column(at) for at, column in enumerate(columns)}
    return Answer(np.zeros(len(draws)), score, names, names, details, means, columns, DRAWS)


def semi_supervised(splits: Splits, task: Task, budget: Budget | None = None) -> Answer:
    """All metrics of the task at each of `budget.fractions` of the training labels, over `budget.draws`."""
    budget = budget or Budget()
    labels = labels_of(splits.train, task)
    chosen = {
        f"{100 * fraction:g}%": [labels.of_fraction(fraction, draw) for draw in budget.draws]
        for fraction in sorted(budget.fractions)
    }
    return over_draws(splits, task, chosen, budget.draws, metrics_of(task.kind, task.positive_index))
