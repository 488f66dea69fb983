"""One run under one metric, measured once or several times, and what two of them differ by.

Differences are paired: repeats by their seed, predictions by their test item, resampling the same groups for both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ssl_platform.transfer.intervals import over_seeds, paired_difference, resampled
from ssl_platform.types import Metric

EVALUATION, PRETRAINING = "evaluation seeds", "pretraining seeds"


@dataclass
class Items:
    """What one measurement says about the test items.

    Attributes:
        target, score: `[n, ...]` of the items, as the metric takes them.
        ids: `[n]`.
        groups: `[n]`, what intervals resample.
        function: the metric.
    """

    target: np.ndarray
    score: np.ndarray
    ids: Sequence[str]
    groups: Sequence[str]
    function: Callable[[np.ndarray, np.ndarray], float]
    _drawn: np.ndarray | None = field(default=None, repr=False)

    def resampled(self) -> np.ndarray:
        """`[1000]` the metric in draws of whole groups, the same draws for equal groups."""
        if self._drawn is None:
            draws = resampled(self.groups)
            self._drawn = np.array([self.function(self.target[rows], self.score[rows]) for rows in draws])
        return self._drawn

    def like(self, other: Items) -> Items | None:
        """The same in the order of another's items, or None where those are others."""
        if list(self.ids) == list(other.ids):
            return self if list(self.groups) == list(other.groups) else replace(self, groups=other.groups, _drawn=None)
        place = {name: i for i, name in enumerate(self.ids)}
        if len(place) != len(self.ids) or set(place) != set(other.ids) or len(other.ids) != len(self.ids):
            return None
        order = [place[name] for name in other.ids]
        return Items(self.target[order], self.score[order], other.ids, other.groups, self.function)


@dataclass(frozen=True)
class Repeat:
    """One measurement.

    Attributes:
        seed: what tells it from the other repeats, and pairs it with one of another run.
        value: with its interval over the test items.
        items: the predictions behind it, where they are known.
    """

    seed: str
    value: Metric
    items: Items | None = None


@dataclass(frozen=True)
class Cell:
    """One run under one metric.

    Attributes:
        run: name.
        metric: `protocol/metric`.
        repeats: one a seed.
        over: what repeats differ in, for tables.
        labels: budget of labels in words; empty for all.
        own: the same net with random weights under the same metric, measured with the run itself.
        fixed: whether seeds change nothing: frozen features under a protocol that draws nothing.
    """

    run: str
    metric: str
    repeats: tuple[Repeat, ...]
    over: str = EVALUATION
    labels: str = ""
    own: Cell | None = None
    fixed: bool = False

    @property
    def values(self) -> list[float]:
        """One a repeat."""
        return [repeat.value.value for repeat in self.repeats]

    def summary(self) -> Metric:
        """Mean over seeds with its interval; over groups where there is one value, whatever the seed."""
        one = self.fixed or len(self.repeats) == 1
        return self.repeats[0].value if one else over_seeds(self.values, self.over)


@dataclass(frozen=True)
class Difference:
    """How much better one run is than another.

    Attributes:
        seeds: mean difference with its interval over paired seeds, where there are two or more.
        items: mean difference with its interval over paired test items, where predictions are known.
    """

    seeds: Metric | None
    items: Metric | None
    plain: Metric

    @property
    def main(self) -> Metric:
        """Over seeds where there are several, else over items, else without an interval."""
        return self.seeds or self.items or self.plain

    @property
    def besides(self) -> Metric | None:
        """The interval over items where `main` is over seeds."""
        return self.items if self.seeds is not None else None


def difference(a: Cell, b: Cell) -> Difference:
    """`a - b`, paired by seed and by test item."""
    plain = Metric(float(np.mean(a.values) - np.mean(b.values)))
    return Difference(_by_seed(a, b), _by_item(a, b, plain.value), plain)


def _by_seed(a: Cell, b: Cell) -> Metric | None:
    theirs = {repeat.seed: repeat.value.value for repeat in b.repeats}
    if len(a.repeats) < 2 or sorted(theirs) != sorted(repeat.seed for repeat in a.repeats):
        return None
    return paired_difference(a.values, [theirs[repeat.seed] for repeat in a.repeats], a.over)


def _by_item(a: Cell, b: Cell, value: float) -> Metric | None:
    first = a.repeats[0].items
    if first is None or len(set(first.groups)) < 2:
        return None
    drawn = []
    for cell in (a, b):
        own = [None if repeat.items is None else repeat.items.like(first) for repeat in cell.repeats]
        known = [items for items in own if items is not None]
        if len(known) < len(own):
            return None
        drawn.append(np.mean([items.resampled() for items in known], axis=0))
    apart = drawn[0] - drawn[1]
    if np.isnan(apart).all():
        return None
    low, high = np.nanpercentile(apart, [2.5, 97.5])
    return Metric(value, (float(low), float(high)), a.repeats[0].value.ci_over or "groups")
