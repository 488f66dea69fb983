"""`labels.fraction` and `labels.count`: training with fewer labels, always the same ones.

What is drawn depends on the labelled groups and `labels.draw` alone: not on the run's seed, and not on other items.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable

import numpy as np

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data.draw import order_key
from ssl_platform.data.facts import Facts
from ssl_platform.data.names import counted
from ssl_platform.errors import DataError

_TRAIN = 1


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
        turns = []
        for name, members in _members(facts, train, draw).items():
            turns += [(turn, order_key(draw, str(name)), i) for turn, i in enumerate(members)]
        chosen = [i for *_, i in sorted(turns)[:count]]
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
        chosen = _choose(facts, train, fraction, draw)
        left = np.setdiff1d(np.flatnonzero(fold == _TRAIN), chosen)
        fold[left] = 0
        kept, total = kept + len(chosen), total + len(train)
    rounds = f" over {len(codes)} folds" if len(codes) > 1 else ""
    return codes, [
        f"labels: {counted(kept, 'training label')} of {total:,} used{rounds} (labels.fraction={fraction:g})"
    ]


def _choose(facts: Facts, train: np.ndarray, fraction: float, draw: int) -> np.ndarray:
    """The entries kept of one round, ascending."""
    strata = _members(facts, train, draw)
    chosen = {i for members in strata.values() for i in members[: max(1, round(fraction * len(members)))]}
    if facts.layout is not None and facts.layout.kind == "multi-label":
        # Combinations of classes are too many to draw from each: every class keeps its first entry.
        ordered = [i for members in strata.values() for i in members]
        firsts = (np.flatnonzero(facts.target[ordered, k] == 1) for k in range(len(facts.layout.classes)))
        chosen |= {ordered[first[0]] for first in firsts if len(first)}
    return np.array(sorted(chosen), dtype=np.int64)


def _members(facts: Facts, train: np.ndarray, draw: int) -> dict[Hashable, list[int]]:
    """Entries of each stratum in order of hash(draw, group)."""
    ordered = sorted(train.tolist(), key=lambda i: (order_key(draw, facts.group[i]), facts.group[i], facts.id[i], i))
    strata: dict[Hashable, list[int]] = defaultdict(list)
    for i, name in zip(ordered, _strata(facts, ordered), strict=True):
        strata[name].append(i)
    return strata


def _strata(facts: Facts, ordered: list[int]) -> list[Hashable]:
    """What entries are drawn by."""
    kind = facts.layout.kind if facts.layout is not None else None
    if kind == "classification":
        return list(facts.target[ordered].tolist())
    if kind == "regression":
        rank = np.argsort(np.argsort(facts.target[ordered], kind="stable"), kind="stable")
        return list((rank * 5 // max(1, len(ordered))).tolist())
    return [0] * len(ordered)
