"""Protocols over the rounds of a split: features in, metrics with intervals out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import torch

from ssl_platform.config.schema import RunConfig
from ssl_platform.data.facts import Facts
from ssl_platform.encoder import Encoder
from ssl_platform.errors import ConfigError, LabelError
from ssl_platform.plugins import ProtocolDeclaration, registry
from ssl_platform.transfer.features import ItemFeatures
from ssl_platform.transfer.intervals import over_groups, over_repeats
from ssl_platform.transfer.metrics import metrics_of
from ssl_platform.transfer.opening import Opened
from ssl_platform.transfer.protocols.answer import Answer, Budget, Function
from ssl_platform.transfer.protocols.splits import Labelled, Splits
from ssl_platform.transfer.task import Task
from ssl_platform.transfer.units import by_unit
from ssl_platform.types import Metric

OnFeatures = Callable[[Splits, Task, Budget], Answer]
"""A protocol on features of items, windows or tokens."""
OnEncoder = Callable[[Opened, Encoder, np.ndarray, Budget], Answer]
"""A protocol that asks the encoder itself, about the test entries it is given."""


@dataclass
class Outcome:
    """What a protocol found on the test items of all rounds.

    Attributes:
        metrics: by name, without the protocol's.
        target, score: of the test items.
        ids: of the test items.
        details: what was chosen, a mapping a round.
        groups: of the test items, as intervals resample them.
        functions: the metrics as functions of target and score.
        columns: names of the columns of `score` where it holds figures instead of predictions.
        files: what else is written, by name, a value a round.
    """

    metrics: dict[str, Metric]
    target: np.ndarray
    score: np.ndarray
    ids: list[str]
    details: list[dict[str, Any]] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    functions: Mapping[str, Function] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    files: Mapping[str, Sequence[Any]] = field(default_factory=dict)


def budget_of(config: RunConfig) -> Budget:
    """The keys `probe.*`."""
    own = config.probe
    return Budget(
        seed=config.seed,
        steps=own.steps,
        costs=tuple(own.costs),
        fractions=tuple(own.fractions),
        counts=None if own.counts == "auto" else tuple(own.counts),
        draws=tuple(own.draws),
        classifier=own.classifier,
        ways=None if own.ways == "auto" else int(own.ways),
        shots=own.shots,
        queries=own.queries,
        episodes=own.episodes,
        recall=tuple(own.recall),
        clusters=None if own.clusters == "auto" else int(own.clusters),
        mined=own.mined,
        heads=own.heads,
        threshold=own.threshold,
    )


def protocol(name: str) -> ProtocolDeclaration:
    """A protocol by name.

    Raises:
        PluginError: there is none of that name; the nearest is named.
    """
    return registry().protocol(name)


def check_fit(name: str, kind: str, offers: Collection[str]) -> None:
    """Refuse a protocol that does not suit task or backbone, before anything is computed.

    Args:
        name: of the protocol.
        kind: of the task.
        offers: what the backbone offers.

    Raises:
        ConfigError: it does not, and which protocols do.
    """
    declared = protocol(name)
    if kind not in declared.tasks:
        fit = [other.name for other in registry().protocols() if kind in other.tasks]
        if kind == "none":
            raise ConfigError(f"--protocol {name}: needs labels: give --labels (a table, folders, name:REGEX)")
        what = "masks" if kind == "segmentation" else f"of {kind}"
        others = f"protocols for it: {', '.join(fit)}" if fit else "none is"
        others += "; use finetune (or another --task)" if kind == "segmentation" else ""
        raise ConfigError(f"--protocol {name}: is for {', '.join(declared.tasks)}, and the labels are {what}: {others}")
    for offer in declared.offers:
        if offer not in offers:
            raise ConfigError(f"--protocol {name}: needs a backbone with {offer}, which this encoder has not")


def labelled(facts: Facts, features: ItemFeatures, entries: np.ndarray) -> Labelled:
    """Features and targets of labelled entries whose items could be read."""
    place = {int(row): i for i, row in enumerate(features.rows)}
    kept = [int(e) for e in entries if int(facts.row[e]) in place and bool(facts.labelled[e])]
    at = torch.tensor([place[int(facts.row[e])] for e in kept], dtype=torch.long)
    target = torch.from_numpy(np.ascontiguousarray(facts.target[kept]))
    return Labelled(features.values[at], target, [facts.group[e] for e in kept], [facts.id[e] for e in kept])


def evaluate(name: str, opened: Opened, encoder: Encoder, features: Mapping[str, ItemFeatures]) -> Outcome:
    """Run one protocol in every round; metrics are over the test items (or groups) of all rounds together.

    Args:
        name: of the protocol.
        opened: data, labels, splits and `config.probe`.
        encoder: for protocols that ask the encoder itself.
        features: of the items, by the form that protocols declare.

    Raises:
        LabelError: no labelled items to learn from or to test on.
        ConfigError: `labels.unit=group` with a protocol that has no score an item.
    """
    declared, budget = protocol(name), budget_of(opened.config)
    run, unit, facts = registry().load(declared), opened.config.labels.unit, opened.data.facts
    if opened.kind == "none":  # nothing tells what is tested: all of it
        return together([cast(OnEncoder, run)(opened, encoder, np.arange(len(facts)), budget)], {})
    task = opened.task
    budget = replace(budget, smallest=min(int(((parts == 1) & facts.labelled).sum()) for parts in opened.codes))
    answers = []
    for number, parts in enumerate(opened.codes):
        if declared.features == "encoder":
            tested = np.flatnonzero((parts == 3) & facts.labelled)
            _check_parts(number, test=len(tested))
            answers.append(by_unit(cast(OnEncoder, run)(opened, encoder, tested, budget), unit))
            continue
        form = features[declared.features]
        train, val, test = (labelled(facts, form, np.flatnonzero(parts == code)) for code in (1, 2, 3))
        _check_parts(number, train=len(train), test=len(test))
        splits = Splits(train, val, test, few=opened.config.labels.limited, parts=form.parts)
        answers.append(by_unit(cast(OnFeatures, run)(splits, task, budget), unit))
    return together(answers, metrics_of(task.kind, task.positive_index))


def _check_parts(number: int, **sizes: int) -> None:
    for part, size in sizes.items():
        if not size:
            raise LabelError(f"round {number + 1} has no labelled {part} items: label more, or give a split column")


def together(answers: Sequence[Answer], functions: Mapping[str, Function]) -> Outcome:
    """The answers of all rounds as one outcome.

    Args:
        answers: a round each.
        functions: metrics of the task, for protocols that bring none.
    """
    first = answers[0]
    target, score = (np.concatenate([getattr(a, name) for a in answers]) for name in ("target", "score"))
    apart = first.over == "episodes" and len(answers) > 1  # episodes of one round are not those of another
    groups = [f"{i}: {group}" if apart else group for i, answer in enumerate(answers) for group in answer.groups]
    ids = [item for answer in answers for item in answer.ids]
    chosen = first.functions or functions
    metrics = {}
    for metric, function in chosen.items():
        if first.over == "groups":
            metrics[metric] = over_groups(function, target, score, groups)
        else:
            metrics[metric] = over_repeats(function, target, score, groups, first.over)
    files = {name: [answer.files[name] for answer in answers if name in answer.files] for name in first.files}
    details = [answer.details for answer in answers]
    return Outcome(metrics, target, score, ids, details, groups, chosen, first.columns, files)


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
