"""Metrics of downstream tasks, on numpy arrays.

Every metric is a function `(target, score) -> float` where `target` is `[n]` (or `[n, K]` for several labels) and
`score` is `[n, K]` class scores, `[n, K]` label scores or `[n]` values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

Metric = Callable[[np.ndarray, np.ndarray], float]


def accuracy(target: np.ndarray, score: np.ndarray) -> float:
    """Fraction of `[n]` classes whose `[n, K]` score is largest."""
    return float((score.argmax(axis=1) == target).mean())


def balanced_accuracy(target: np.ndarray, score: np.ndarray) -> float:
    """Mean over the classes present of their recall."""
    hit = score.argmax(axis=1) == target
    return float(np.mean([hit[target == c].mean() for c in np.unique(target)]))


def mean_known(values: Sequence[float]) -> float:
    """Mean of the values that are not nan; nan where there is none."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def macro_f1(target: np.ndarray, score: np.ndarray) -> float:
    """Mean over the classes that are present or predicted of their F1, `2 hits / (present + predicted)`."""
    found, classes = score.argmax(axis=1), score.shape[1]
    either = np.bincount(target, minlength=classes) + np.bincount(found, minlength=classes)
    hits = np.bincount(target[target == found], minlength=classes)
    return float((2 * hits[either > 0] / either[either > 0]).mean())


def auc(target: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve of `[n]` binary targets and `[n]` scores, ties counted half (Mann-Whitney)."""
    positive, negative = int((target == 1).sum()), int((target == 0).sum())
    if positive == 0 or negative == 0:
        return float("nan")
    order = np.argsort(score, kind="mergesort")
    values = score[order]
    ranks = np.empty(len(score))
    first = np.concatenate([[True], values[1:] != values[:-1]])
    group = np.cumsum(first) - 1
    starts = np.flatnonzero(first)
    ends = np.concatenate([starts[1:], [len(values)]])
    ranks[order] = ((starts + ends - 1) / 2.0 + 1.0)[group]
    return float((ranks[target == 1].sum() - positive * (positive + 1) / 2) / (positive * negative))


def macro_auc(target: np.ndarray, score: np.ndarray, positive: int | None = None) -> float:
    """AUC of the positive class for two classes, else the mean one-against-rest AUC over the classes present.

    Args:
        target: `[n]` classes.
        score: `[n, K]`.
        positive: index of the positive class of two; the second by default.
    """
    if score.shape[1] == 2:
        chosen = 1 if positive is None else positive
        return auc((target == chosen).astype(int), score[:, chosen] - score[:, 1 - chosen])
    return mean_known([auc((target == c).astype(int), score[:, c]) for c in np.unique(target)])


def average_precision(target: np.ndarray, score: np.ndarray) -> float:
    """Average precision of `[n]` binary targets: sum of precision at each rise of recall; ties share a threshold."""
    positives = int((target == 1).sum())
    if positives == 0:
        return float("nan")
    order = np.argsort(-score, kind="mergesort")
    hits = np.cumsum(target[order] == 1)
    last = np.flatnonzero(np.concatenate([score[order][1:] != score[order][:-1], [True]]))
    precision, recall = hits[last] / (last + 1.0), hits[last] / positives
    return float((precision * np.diff(np.concatenate([[0.0], recall]))).sum())


def mean_average_precision(target: np.ndarray, score: np.ndarray) -> float:
    """Mean over labels of the average precision; `target [n, K]` may hold nan for unknown."""
    found = []
    for label in range(target.shape[1]):
        known = ~np.isnan(target[:, label])
        found.append(average_precision(target[known, label], score[known, label]))
    return mean_known(found)


def pooled_average_precision(target: np.ndarray, score: np.ndarray) -> float:
    """Average precision of all known entries of `target [n, K]` together (micro), so that frequent labels count more.

    Scores of several labels are compared with one another: they should be logits or probabilities of one model.
    """
    known = ~np.isnan(target)
    return average_precision(target[known], score[known])


def label_auc(target: np.ndarray, score: np.ndarray) -> float:
    """Mean over labels of the area under the ROC curve; `target [n, K]` may hold nan for unknown."""
    known = [~np.isnan(target[:, k]) for k in range(target.shape[1])]
    found = [auc(target[row, k], score[row, k]) for k, row in enumerate(known)]
    return mean_known(found)


def r2(target: np.ndarray, score: np.ndarray) -> float:
    """Coefficient of determination of `[n]` values."""
    spread = float(((target - target.mean()) ** 2).sum())
    return float("nan") if spread == 0 else 1.0 - float(((target - score.reshape(target.shape)) ** 2).sum()) / spread


def mean_absolute_error(target: np.ndarray, score: np.ndarray) -> float:
    """Mean of `|target - score|`, in the target's unit."""
    return float(np.abs(target - score.reshape(target.shape)).mean())


def dice(target: np.ndarray, prediction: np.ndarray, label: int, ignore: int | None = None) -> float:
    """Dice overlap of one class in two label maps of any shape; nan where both lack it."""
    counted = np.ones(target.shape, bool) if ignore is None else target != ignore
    a, b = (target == label) & counted, (prediction == label) & counted
    size = int(a.sum()) + int(b.sum())
    return float("nan") if size == 0 else 2.0 * int((a & b).sum()) / size


def classification(positive: int | None = None) -> Mapping[str, Metric]:
    """Metrics of classes by name; `positive` is the index of the positive class of two, for AUC."""
    return {
        "accuracy": accuracy,
        "balanced_accuracy": balanced_accuracy,
        "macro_f1": macro_f1,
        "auc": partial(macro_auc, positive=positive),
    }


def multi_label(positive: int | None = None) -> Mapping[str, Metric]:
    """Metrics of several labels by name."""
    return {"map": mean_average_precision, "map_micro": pooled_average_precision, "auc": label_auc}


def regression(positive: int | None = None) -> Mapping[str, Metric]:
    """Metrics of numbers by name."""
    return {"r2": r2, "mae": mean_absolute_error}


def metrics_of(kind: str, positive: int | None = None) -> Mapping[str, Metric]:
    """The metrics of a task by name; the first is the one choices are made by.

    Args:
        kind: `classification`, `multi-label` or `regression`; other kinds have none of an item's scores.
        positive: index of the positive class of two, for AUC.
    """
    kinds = {"classification": classification, "multi-label": multi_label, "regression": regression}
    return kinds[kind](positive) if kind in kinds else {}
