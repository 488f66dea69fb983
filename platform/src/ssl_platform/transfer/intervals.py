"""Confidence intervals: over groups by bootstrap, over seeds by Student's t, and of paired differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy.special import stdtrit

from ssl_platform.types import Metric


def over_groups(
    metric: Callable[[np.ndarray, np.ndarray], float],
    target: np.ndarray,
    score: np.ndarray,
    groups: Sequence[object],
    resamples: int = 1000,
    seed: int = 0,
) -> Metric:
    """A metric with its 95 % percentile interval from resampling groups (never windows).

    Args:
        metric: `(target, score) -> float`.
        target: `[n, ...]`.
        score: `[n, ...]`.
        groups: `[n]` group of each row.
        resamples: bootstrap draws.
        seed: of the draws.
    """
    value = metric(target, score)
    if len({str(group) for group in groups}) < 2 or math.isnan(value):
        return Metric(value)
    drawn = [metric(target[chosen], score[chosen]) for chosen in resampled(groups, resamples, seed)]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Metric(value, (float(low), float(high)), "groups")


def resampled(groups: Sequence[object], resamples: int = 1000, seed: int = 0) -> Iterator[np.ndarray]:
    """Bootstrap draws of whole groups with replacement: the rows of each draw.

    Args:
        groups: `[n]` group of each row.
        resamples: draws.
        seed: equal seeds and groups give equal draws, so that two models can be resampled in pairs.
    """
    names, member = np.unique(np.asarray([str(g) for g in groups]), return_inverse=True)
    order = np.argsort(member, kind="stable")
    rows = np.split(order, np.cumsum(np.bincount(member))[:-1])
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.concatenate([rows[g] for g in generator.integers(0, len(names), len(names))])


def over_seeds(values: Sequence[float], what: str) -> Metric:
    """Mean of repeated runs with its 95 % Student interval.

    Args:
        values: one a seed.
        what: `evaluation seeds` or `pretraining seeds`.
    """
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Metric(mean)
    half = float(stdtrit(n - 1, 0.975)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Metric(mean, (mean - half, mean + half), what)


def paired_difference(a: Sequence[float], b: Sequence[float], what: str) -> Metric:
    """Mean of `a_i - b_i` over paired repeats with its 95 % Student interval."""
    return over_seeds([x - y for x, y in zip(a, b, strict=True)], what)


def over_repeats(
    metric: Callable[[np.ndarray, np.ndarray], float],
    target: np.ndarray,
    score: np.ndarray,
    repeats: Sequence[str],
    what: str,
) -> Metric:
    """Mean of a metric over repeats of one measurement with its 95 % Student interval.

    Args:
        metric: `(target, score) -> float`.
        target, score: `[n, ...]`.
        repeats: `[n]` the episode or draw each row is of.
        what: they are, such as `episodes`.
    """
    member = np.asarray(repeats)
    values = [metric(target[rows], score[rows]) for rows in (member == name for name in dict.fromkeys(repeats))]
    return over_seeds([value for value in values if not math.isnan(value)] or [math.nan], what)
