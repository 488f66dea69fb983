"""What metrics count: items, or the groups they belong to (`labels.unit=group`: patients instead of scans)."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from ssl_platform.data.facts import Facts
from ssl_platform.errors import ConfigError, LabelError
from ssl_platform.transfer.protocols.answer import Answer
from ssl_platform.transfer.task import Kind

Unit = Literal["item", "group"]


def check_unit(unit: Unit, kind: Kind, facts: Facts) -> None:
    """Refuse to count groups where their items cannot be put together, before anything is computed.

    Args:
        unit: `labels.unit`.
        kind: of the task.
        facts: the labels; those of one group must agree where they are classes.

    Raises:
        ConfigError: masks have no score to average.
        LabelError: a group has items of two classes, both named.
    """
    if unit == "item":
        return
    if kind == "segmentation":
        raise ConfigError("labels.unit=group: masks are scored cell by cell, item by item; leave labels.unit out")
    if kind == "regression":
        return
    first: dict[str, int] = {}
    for entry in np.flatnonzero(facts.labelled).tolist():
        other = first.setdefault(facts.group[entry], entry)
        if not np.array_equal(facts.target[entry], facts.target[other], equal_nan=kind == "multi-label"):
            raise LabelError(
                f"labels.unit=group: group {facts.group[entry]!r} has two labels, {facts.label[other]!r} "
                f"({facts.id[other]!r}) and {facts.label[entry]!r} ({facts.id[entry]!r}): give one label a group"
            )


def by_unit(answer: Answer, unit: Unit) -> Answer:
    """An answer with one row a unit: for groups the mean of the scores of their items, which share a target.

    Args:
        answer: one row an item.
        unit: `labels.unit`.

    Returns:
        For groups the mean target too, in order of the groups' names, which take the place of the ids.

    Raises:
        ConfigError: the protocol gives figures of its own instead of a score an item.
    """
    if unit == "item":
        return answer
    if answer.functions or answer.columns:
        raise ConfigError("labels.unit=group: this protocol measures items against each other; leave labels.unit out")
    names, first, number = np.unique(np.array(answer.groups), return_index=True, return_inverse=True)
    count = np.bincount(number).astype(np.float64)

    def mean(values: np.ndarray) -> np.ndarray:
        total = np.zeros((len(names), *values.shape[1:]))
        np.add.at(total, number, values)
        return total / count.reshape(-1, *[1] * (values.ndim - 1))

    floats = np.issubdtype(answer.target.dtype, np.floating) and answer.target.ndim == 1
    target = mean(answer.target) if floats else answer.target[first]
    groups = names.tolist()
    return replace(
        answer, target=target, score=mean(answer.score).astype(answer.score.dtype), groups=groups, ids=groups
    )
