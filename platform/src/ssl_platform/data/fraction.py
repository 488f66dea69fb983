"""`labels.fraction` and `labels.count`: training with fewer labels, always the same ones.

What is drawn depends on the labelled groups and `labels.draw` alone: not on the run's seed, and not on other items.
The protocols that draw labels themselves (`semi-supervised`, `label-utility`) draw the same ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data.draw import order_key
from ssl_platform.data.facts import Facts
from ssl_platform.data.names import counted
from ssl_platform.errors import DataError

_TRAIN = 1


@dataclass(frozen=True)
class Labels:
    """Labels that some are drawn of.

    Attributes:
        target: `[n]` classes or values, or `[n, K]` labels (of masks, which classes are in them).
        groups, ids: `[n]`.
        kind: of the task; what it is decides what is drawn evenly (classes, fifths of the values).
    """

    target: np.ndarray
    groups: Sequence[str]
    ids: Sequence[str]
    kind: str | None

    def of_count(self, count: int, draw: int = 0) -> list[int]:
        """Rows of `count` labels, ascending: classes give one each in turn, in order of hash(draw, group)."""
        turns = []
        for name, members in self._strata(draw).items():
            turns += [(turn, order_key(draw, str(name)), i) for turn, i in enumerate(members)]
        return sorted(i for *_, i in sorted(turns)[:count])

    def of_fraction(self, fraction: float, draw: int = 0) -> list[int]:
        """Rows of a share of each class, ascending, at least one of each."""
        strata = self._strata(draw)
        chosen = {i for members in strata.values() for i in members[: max(1, round(fraction * len(members)))]}
        if self.target.ndim == 2:
            # Combinations of classes are too many to draw from each: every class keeps its first entry.
            ordered = [i for members in strata.values() for i in members]
            firsts = (np.flatnonzero(self.target[ordered, k] == 1) for k in range(self.target.shape[1]))
            chosen |= {ordered[first[0]] for first in firsts if len(first)}
        return sorted(chosen)

    def _strata(self, draw: int) -> dict[Hashable, list[int]]:
        """Rows of each stratum in order of hash(draw, group)."""
        rows = range(len(self.ids))
        ordered = sorted(rows, key=lambda i: (order_key(draw, self.groups[i]), self.groups[i], self.ids[i], i))
        strata: dict[Hashable, list[int]] = defaultdict(list)
        for i, name in zip(ordered, self._names(ordered), strict=True):
            strata[name].append(i)
        return strata

    def _names(self, ordered: list[int]) -> list[Hashable]:
        """The stratum of each row."""
        if self.kind == "classification":
            return list(self.target[ordered].tolist())
        if self.kind == "regression":
            rank = np.argsort(np.argsort(self.target[ordered], kind="stable"), kind="stable")
            return list((rank * 5 // max(1, len(ordered))).tolist())
        return [0] * len(ordered)


def fewer_labels(facts: Facts, codes: np.ndarray, labels: LabelsConfig) -> tuple[np.ndarray, list[str]]:
    """Parts as `labels.fraction` or `labels.count` ask; unchanged, and no lines, where neither is given.

    Raises:
        DataError: both are given, or one cannot be met.
    """
    if labels.fraction is not None and labels.count is not None:
        raise DataError(f"labels.fraction={labels.fraction:g} and labels.count={labels.count}: give one of them")
    if labels.count is not None:
        return draw_count(facts, codes, labels.count, labels.draw)
    return (codes, []) if labels.fraction is None else draw_fraction(facts, codes, labels.fraction, labels.draw)


def draw_count(facts: Facts, codes: np.ndarray, count: int, draw: int = 0) -> tuple[np.ndarray, list[str]]:
    """Keep a number of the labelled training entries, as evenly by class as it divides; the rest stays whole.

    Classes give one entry each in turn, in order of hash(draw, group), so a smaller number of the same draw is part of
    a larger one.

    Args:
        facts: what is known of the items.
        codes: `[folds, n]` parts.
        count: training labels of each round.
        draw: which of the draws.

    Raises:
        DataError: a round has fewer.
    """
    codes = codes.copy()
    for fold in codes:
        train = np.flatnonzero((fold == _TRAIN) & facts.labelled)
        if count > len(train):
            raise DataError(f"labels.count={count}: there are {len(train)} training labels; ask for at most as many")
        chosen = train[_labels(facts, train).of_count(count, draw)]
        fold[np.setdiff1d(np.flatnonzero(fold == _TRAIN), chosen)] = 0
    rounds = f" in each of {len(codes)} folds" if len(codes) > 1 else ""
    return codes, [f"labels: {counted(count, 'training label')} used{rounds} (labels.count={count})"]


def draw_fraction(facts: Facts, codes: np.ndarray, fraction: float, draw: int = 0) -> tuple[np.ndarray, list[str]]:
    """Keep a fraction of the labelled training entries; validation and test stay whole.

    Drawn by class (by fifths of a regression target) in order of hash(draw, group), at least one of each class. A
    smaller fraction of the same draw is part of a larger one.

    Args:
        facts: what is known of the items.
        codes: `[folds, n]` parts.
        fraction: in (0, 1].
        draw: which of the draws.

    Returns:
        New parts and lines to print.

    Raises:
        DataError: the fraction is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise DataError(f"labels.fraction={fraction} is not above 0 and at most 1")
    codes = codes.copy()
    kept = total = 0
    for fold in codes:
        train = np.flatnonzero((fold == _TRAIN) & facts.labelled)
        chosen = train[_labels(facts, train).of_fraction(fraction, draw)]
        left = np.setdiff1d(np.flatnonzero(fold == _TRAIN), chosen)
        fold[left] = 0
        kept, total = kept + len(chosen), total + len(train)
    rounds = f" over {len(codes)} folds" if len(codes) > 1 else ""
    return codes, [
        f"labels: {counted(kept, 'training label')} of {total:,} used{rounds} (labels.fraction={fraction:g})"
    ]


def _labels(facts: Facts, entries: np.ndarray) -> Labels:
    groups, ids = ([values[i] for i in entries.tolist()] for values in (facts.group, facts.id))
    target, layout = facts.target[entries], facts.layout
    if layout is not None and layout.kind == "segmentation" and facts.values:
        target = np.array([[value in facts.values[i] for value in layout.values] for i in entries.tolist()], np.float32)
    return Labels(target, groups, ids, layout.kind if layout is not None else None)
