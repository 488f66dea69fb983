"""Scores of each class with intervals from resampling groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ssl_platform.report.whiskers import Interval
from ssl_platform.transfer.intervals import over_groups
from ssl_platform.transfer.metrics import auc, average_precision

RESAMPLES = 1000
FIGURES = ("recall", "precision", "F1")
_LABEL_RESAMPLES = 200
_AT_ONCE = 50


@dataclass(frozen=True)
class ClassScore:
    """One class.

    Attributes:
        name: of the class.
        support: test items that have it; None where that is not known.
        figures: by name.
    """

    name: str
    support: int | None
    figures: dict[str, Interval]


def confusion(target: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    """`[K, K]` items by true (rows) and predicted class, from `[n]` of both."""
    return np.bincount(target * classes + found, minlength=classes**2).reshape(classes, classes)


def of_classes(
    target: np.ndarray, score: np.ndarray, groups: Sequence[str], names: Sequence[str], seed: int = 0
) -> list[ClassScore]:
    """Recall, precision and F1 of each class, with 95 % percentile intervals over groups.

    A draw of G groups is a count for each; hits, items and predictions of every class are sums over groups, so all
    draws are one product of matrices. A class that a draw has nothing of is not counted in that draw.

    Args:
        target: `[n]` classes.
        score: `[n, K]`.
        groups: `[n]`.
        names: of the K classes.
        seed: of the draws.
    """
    found, classes = score.argmax(axis=1), len(names)
    members, member = np.unique(np.asarray(groups), return_inverse=True)
    each = np.arange(classes)
    counted = np.stack([(target == found)[:, None] & (target[:, None] == each), target[:, None] == each,
                        found[:, None] == each], axis=1)  # fmt: skip
    order = np.argsort(member, kind="stable")
    starts = np.searchsorted(member[order], np.arange(len(members)))
    sums = np.add.reduceat(counted[order].astype(np.float64), starts, axis=0)
    value = _ratios(sums.sum(axis=0)[None])[0]
    generator = np.random.default_rng(seed)
    even = np.full(len(members), 1 / len(members))
    draws = (generator.multinomial(len(members), even, _AT_ONCE) for _ in range(RESAMPLES // _AT_ONCE))
    drawn = [_ratios(np.tensordot(counts, sums, 1)) for counts in draws]
    low, high = _percentiles(np.concatenate(drawn)) if len(members) > 1 else (value, value)
    support = sums[:, 1].sum(axis=0)
    made = []
    for k, name in enumerate(names):
        ends = {n: [float(v[i, k]) for v in (value, low, high)] for i, n in enumerate(FIGURES)}
        known = {n: Interval(v[0], v[1], v[2], "groups") for n, v in ends.items() if not np.isnan(v).any()}
        made.append(ClassScore(name, int(support[k]), known))
    return made


def _ratios(sums: np.ndarray) -> np.ndarray:
    """`[r, 3, K]` recall, precision, F1 of `[r, 3, K]` hits, items and predictions; nan where there are none."""
    hits, items, predictions = sums[:, 0], sums[:, 1], sums[:, 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([hits / items, hits / predictions, 2 * hits / (items + predictions)], axis=1)


def _percentiles(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """2.5th and 97.5th of `[r, ...]` over r, without the draws that are nan; nan where all are."""
    ordered = np.sort(drawn, axis=0)  # nan last
    known = (~np.isnan(drawn)).sum(axis=0)
    ends = []
    for share in (0.025, 0.975):
        place = share * (np.maximum(known, 1) - 1)
        below, above = np.floor(place).astype(int)[None], np.ceil(place).astype(int)[None]
        a, b = (np.take_along_axis(ordered, at, axis=0)[0] for at in (below, above))
        ends.append(a + (b - a) * (place - below[0]))
    return ends[0], ends[1]


def of_labels(target: np.ndarray, score: np.ndarray, groups: Sequence[str], names: Sequence[str]) -> list[ClassScore]:
    """Average precision and area under the ROC curve of each label.

    Args:
        target: `[n, K]` of 0, 1.
        score: `[n, K]`.
        groups: `[n]`.
        names: of the K labels.
    """
    made = []
    for k, name in enumerate(names):
        figures = {}
        for word, function in (("average precision", average_precision), ("AUC", auc)):
            metric = over_groups(function, target[:, k], score[:, k], groups, _LABEL_RESAMPLES)
            low, high = metric.ci95 or (metric.value, metric.value)
            if not np.isnan([metric.value, low, high]).any():
                figures[word] = Interval(metric.value, low, high, "groups")
        made.append(ClassScore(name, int((target[:, k] == 1).sum()), figures))
    return made
