"""Confidence intervals: over groups by bootstrap, over seeds by Student's t, and of paired differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ssl_platform.types import Metric

# Two-sided 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom.
_T975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


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
    names, member = np.unique(np.asarray([str(g) for g in groups]), return_inverse=True)
    if len(names) < 2 or math.isnan(value):
        return Metric(value)
    order = np.argsort(member, kind="stable")
    rows = np.split(order, np.cumsum(np.bincount(member))[:-1])
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        chosen = np.concatenate([rows[g] for g in generator.integers(0, len(names), len(names))])
        drawn.append(metric(target[chosen], score[chosen]))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Metric(value, (float(low), float(high)), "groups")


def over_seeds(values: Sequence[float], what: str) -> Metric:
    """Mean of repeated runs with its 95 % Student interval.

    Args:
        values: one a seed.
        what: `evaluation seeds` or `pretraining seeds`.
    """
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Metric(mean)
    half = (_T975[n - 2] if n - 2 < len(_T975) else 1.96) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Metric(mean, (mean - half, mean + half), what)


def paired_difference(a: Sequence[float], b: Sequence[float], what: str) -> Metric:
    """Mean of `a_i - b_i` over paired repeats with its 95 % Student interval."""
    return over_seeds([x - y for x, y in zip(a, b, strict=True)], what)
