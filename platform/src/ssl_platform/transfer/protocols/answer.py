"""What a protocol is given to spend, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

Predict = Callable[[Tensor], np.ndarray]
"""Features `[n, D]` (or bags) to scores `[n, K]`, or to values `[n]`."""
Function = Callable[[np.ndarray, np.ndarray], float]
"""A metric: `(target, score) -> float`."""


@dataclass(frozen=True)
class Budget:
    """What protocols may spend and what they report: the keys `probe.*`, and the seed of all they draw.

    Attributes:
        seed: of weights and episodes.
        steps: of heads that are trained by gradient.
        costs: values of C of a support-vector machine.
        fractions, counts, draws: shares and numbers of training labels, and which draws of them; `counts=None` halves
            all of them down to one a class.
        smallest: labelled training items of the smallest round, where there are several.
        classifier: of few-shot episodes: `logistic`, `prototype`, `cosine`, `nearest` or `svm`.
        ways, shots, queries, episodes: classes, labelled and tested items a class, and number of few-shot episodes;
            `ways=None` takes five, or all classes where there are fewer.
        recall: the k of recall@k.
        clusters, mined, heads, threshold: of clustering: how many (None: as many as classes), neighbours of an item,
            heads trained, and the confidence above which an item labels its augmented views.
    """

    seed: int = 0
    steps: int = 1000
    costs: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)
    fractions: tuple[float, ...] = (0.01, 0.1)
    counts: tuple[int, ...] | None = None
    draws: tuple[int, ...] = (0, 1, 2, 3, 4)
    smallest: int | None = None
    classifier: str = "logistic"
    ways: int | None = None
    shots: int = 5
    queries: int = 15
    episodes: int = 600
    recall: tuple[int, ...] = (1, 5, 10)
    clusters: int | None = None
    mined: int = 20
    heads: int = 5
    threshold: float = 0.99


@dataclass
class Answer:
    """What a protocol found on the test items of one round.

    Attributes:
        target: `[n]` classes or values, or `[n, K]` labels.
        score: `[n, K]` class or label scores or `[n]` values; for a protocol with metrics of its own `[n, M]` figures.
        groups, ids: of the n rows; metrics get their intervals by resampling groups.
        details: what was chosen, for `result.json`.
        functions: metrics by name where they are not those of the task.
        columns: names of the M figures.
        over: what `groups` are, for tables: test `groups` are resampled, repeats of a measurement (episodes, draws of
            labels) give a Student interval of their mean.
        files: what else is written into the run's folder, as `NAME.json`, a value a round.
    """

    target: np.ndarray
    score: np.ndarray
    groups: list[str]
    ids: list[str]
    details: dict[str, Any] = field(default_factory=dict)
    functions: Mapping[str, Function] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    over: str = "groups"
    files: Mapping[str, Any] = field(default_factory=dict)


def mean_of_column(column: int) -> Function:
    """The mean of one column of `score [n, M]` over the rows where it is known; nan where it is nowhere."""

    def mean(_: np.ndarray, score: np.ndarray) -> float:
        known = score[~np.isnan(score[:, column]), column]
        return float(known.mean()) if len(known) else float("nan")

    return mean
