"""Protocols over the rounds of a split: features in, metrics with intervals out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ssl_platform.data.facts import Facts
from ssl_platform.errors import ConfigError, LabelError, did_you_mean
from ssl_platform.transfer.features import ItemFeatures
from ssl_platform.transfer.intervals import over_groups
from ssl_platform.transfer.metrics import metrics_of
from ssl_platform.transfer.protocols.knn import knn
from ssl_platform.transfer.protocols.linear import linear
from ssl_platform.transfer.protocols.splits import Labelled, Splits
from ssl_platform.transfer.task import Task
from ssl_platform.types import Metric

Protocol = Callable[[Splits, Task], tuple[np.ndarray, np.ndarray, Labelled, dict[str, Any]]]
PROTOCOLS: dict[str, Protocol] = {"knn": knn, "linear": linear}


@dataclass
class Outcome:
    """What a protocol found on the test items of all rounds.

    Attributes:
        metrics: by name, without the protocol's.
        target, score: of the test items.
        ids: of the test items.
        details: what was chosen, a mapping a round.
    """

    metrics: dict[str, Metric]
    target: np.ndarray
    score: np.ndarray
    ids: list[str]
    details: list[dict[str, Any]] = field(default_factory=list)


def protocol(name: str) -> Protocol:
    """A protocol by name.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in PROTOCOLS:
        raise ConfigError(f"--protocol {name}: no such protocol{did_you_mean(name, PROTOCOLS)}; {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def labelled(facts: Facts, features: ItemFeatures, entries: np.ndarray) -> Labelled:
    """Features and targets of labelled entries whose items could be read."""
    place = {int(row): i for i, row in enumerate(features.rows)}
    kept = [int(e) for e in entries if int(facts.row[e]) in place and bool(facts.labelled[e])]
    at = torch.tensor([place[int(facts.row[e])] for e in kept], dtype=torch.long)
    target = torch.from_numpy(np.ascontiguousarray(facts.target[kept]))
    return Labelled(features.values[at], target, [facts.group[e] for e in kept], [facts.id[e] for e in kept])


def evaluate(name: str, facts: Facts, codes: np.ndarray, features: ItemFeatures, task: Task) -> Outcome:
    """Run one protocol in every round; metrics are over the test items of all rounds together.

    Args:
        name: of the protocol.
        facts: labels and groups of the entries.
        codes: `[folds, n]` parts (1 train, 2 validation, 3 test).
        features: of the items.
        task: what is predicted.

    Raises:
        LabelError: no labelled items to learn from or to test on.
    """
    run = protocol(name)
    targets, scores, groups, ids, details = [], [], [], [], []
    for fold, parts in enumerate(codes):
        train, val, test = (labelled(facts, features, np.flatnonzero(parts == code)) for code in (1, 2, 3))
        if not len(train) or not len(test):
            part = "train" if not len(train) else "test"
            raise LabelError(f"round {fold + 1} has no labelled {part} items: label more, or give a split column")
        target, score, items, chosen = run(Splits(train, val, test), task)
        targets.append(target)
        scores.append(score)
        groups += items.groups
        ids += items.ids
        details.append(chosen)
    target, score = np.concatenate(targets), np.concatenate(scores)
    metrics = {
        metric: over_groups(function, target, score, groups)
        for metric, function in metrics_of(task.kind, task.positive_index).items()
    }
    return Outcome(metrics, target, score, ids, details)


def used_rows(facts: Facts, codes: np.ndarray) -> np.ndarray:
    """Catalog rows that take part in any round, ascending."""
    return np.unique(facts.row[(codes > 0).any(axis=0) & facts.labelled])


def as_result(metrics: dict[str, Metric]) -> dict[str, dict[str, Any]]:
    """Metrics as `result.json` holds them."""
    return {
        name: {"value": m.value, "ci95": None if m.ci95 is None else list(m.ci95), "ci_over": m.ci_over}
        for name, m in metrics.items()
    }


def line_of(name: str, metric: Metric, baselines: Sequence[tuple[str, Metric]] = ()) -> str:
    """`knn/accuracy 0.812 [0.75, 0.86] (random 0.412 [0.33, 0.49])`."""

    def figure(m: Metric) -> str:
        return f"{m.value:.3f}" + (f" [{m.ci95[0]:.3f}, {m.ci95[1]:.3f}]" if m.ci95 else "")

    rest = ", ".join(f"{word} {figure(m)}" for word, m in baselines)
    return f"{name} {figure(metric)}" + (f" ({rest})" if rest else "")
