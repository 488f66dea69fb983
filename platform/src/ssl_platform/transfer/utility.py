"""Labels saved by pretraining: the curve of training without it, inverted at what an encoder reaches.

`U(n) = n_hat(n) / n - 1`, where without pretraining `n_hat(n)` labels reach what the encoder reaches with n (Newell,
Deng, How Useful is Self-Supervised Pretraining for Visual Tasks?, CVPR 2020, arXiv:2003.14323, section 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.errors import ConfigError
from ssl_platform.train.run import read_result
from ssl_platform.transfer.evaluation import Outcome
from ssl_platform.transfer.protocols.semi_supervised import DRAWS
from ssl_platform.types import Metric

RESAMPLES = 1000


@dataclass(frozen=True)
class Utility:
    """Labels saved at every count.

    Attributes:
        saved: `[n]` U of each count: 3 where pretraining saves three of four labels.
        censored: `[n]` -1 where the encoder is worse than the curve's start (U is at most that), 1 where it is better
            than the curve's end (U is at least that), else 0.
    """

    saved: np.ndarray
    censored: np.ndarray


def utility(counts: Sequence[float], reached: np.ndarray, grid: Sequence[float], scratch: np.ndarray) -> Utility:
    """U of an encoder's curve beside one without pretraining. Never extrapolates.

    Both curves are made to rise by isotonic regression and the latter is interpolated linearly in log n. Where it is
    flat, the count nearest to n counts, which claims least.

    Args:
        counts: `[n]` labels the encoder was given, ascending.
        reached: `[n]` what it reached; more is better.
        grid: `[m]` labels without pretraining, ascending.
        scratch: `[m]` what they reached.
    """
    from scipy.optimize import isotonic_regression

    curve, ours = (np.asarray(isotonic_regression(values).x) for values in (scratch, reached))
    x, n = np.log(np.asarray(grid, dtype=float)), np.log(np.asarray(counts, dtype=float))
    found, censored = np.empty(len(n)), np.zeros(len(n), dtype=int)
    for i, (at, value) in enumerate(zip(n, ours, strict=True)):
        equal = np.flatnonzero(np.isclose(curve, value, rtol=0, atol=1e-12))
        if len(equal):
            found[i] = np.clip(at, x[equal[0]], x[equal[-1]])
        elif value > curve[-1] or value < curve[0]:
            censored[i] = 1 if value > curve[-1] else -1
            found[i] = x[-1] if value > curve[-1] else x[0]
        else:
            above = int(np.searchsorted(curve, value))
            share = (value - curve[above - 1]) / (curve[above] - curve[above - 1])
            found[i] = x[above - 1] + share * (x[above] - x[above - 1])
    return Utility(np.exp(found - n) - 1, censored)


@dataclass(frozen=True)
class Curve:
    """A curve without pretraining.

    Attributes:
        grid: `[m]` labels, ascending.
        values: `[draws, m]` what they reached; nan where a draw lacks a count.
        origin: where it is from.
    """

    grid: tuple[int, ...]
    values: np.ndarray
    origin: str


def curve_of(outcome: Outcome, origin: str) -> Curve:
    """The curve that `label-utility` measured of another encoder."""
    return Curve(tuple(outcome.details[0]["counts"]), outcome.score, origin)


def curve_of_runs(runs: Sequence[str], metric: str, about: Mapping[str, Any]) -> Curve:
    """The curve of finished runs of `finetune --encoder random`, one a count and draw of labels.

    Args:
        runs: their folders.
        metric: name of the figure, `accuracy`.
        about: `data_id` and `split_id` of the evaluation, which theirs must equal.

    Raises:
        ConfigError: a run is not one of these, or on other data.
    """
    found: dict[tuple[int, int], float] = {}
    for run in runs:
        result = read_result(Path(run).expanduser()) or {}
        value = (result.get("metrics") or {}).get(f"finetune/{metric}", {}).get("value")
        if result.get("command") != "finetune" or result.get("encoder") != "random" or value is None:
            raise ConfigError(f"probe.scratch: {run} is no finished run of finetune --encoder random with {metric}")
        if not result.get("labels_count"):
            raise ConfigError(f"probe.scratch: {run} learnt from all labels: give it labels.count=N")
        for key in ("data_id", "split_id"):
            if result.get(key) != about[key]:
                raise ConfigError(f"probe.scratch: {run} has another {key}: train it on the same data and split")
        found[int(result.get("labels_draw") or 0), int(result["labels_count"])] = float(value)
    draws, grid = (sorted({key[i] for key in found}) for i in (0, 1))
    values = np.array([[found.get((draw, count), np.nan) for count in grid] for draw in draws])
    return Curve(tuple(grid), values, f"{len(runs)} runs of finetune from scratch")


def with_utility(outcome: Outcome, scratch: Curve, seed: int = 0) -> Outcome:
    """An outcome of `label-utility` with `utility@COUNT` beside its figures, and what it rests on in its details.

    Intervals are from resampling the draws of labels of both curves, in pairs where they are the same.

    Args:
        outcome: of the encoder, a row a draw (a round's after the other).
        scratch: the curve without pretraining.
        seed: of the resampling.
    """
    counts = outcome.details[0]["counts"]
    whole = utility(counts, outcome.score.mean(axis=0), scratch.grid, np.nanmean(scratch.values, axis=0))
    generator = np.random.default_rng(seed)
    ours, theirs = len(outcome.score), len(scratch.values)
    drawn = []
    for _ in range(RESAMPLES if ours > 1 else 0):
        rows = generator.integers(0, ours, ours)
        others = rows if theirs == ours else generator.integers(0, theirs, theirs)
        curve = scratch.values[others]
        if not np.isnan(curve).all(axis=0).any():
            means = outcome.score[rows].mean(axis=0), np.nanmean(curve, axis=0)
            drawn.append(utility(counts, means[0], scratch.grid, means[1]).saved)
    metrics = dict(outcome.metrics)
    for i, count in enumerate(counts):
        ci = None
        if drawn:
            low, high = np.percentile([saved[i] for saved in drawn], [2.5, 97.5])
            ci = (float(low), float(high))
        metrics[f"utility@{count}"] = Metric(float(whole.saved[i]), ci, DRAWS if ci else None)
    words = {-1: "at most", 1: "at least"}
    told = {
        "beside": scratch.origin,
        "utility": [float(u) for u in whole.saved],
        "censored": {f"{n}": words[int(c)] for n, c in zip(counts, whole.censored, strict=True) if c},
    }
    return replace(outcome, metrics=metrics, details=[{**outcome.details[0], **told}, *outcome.details[1:]])
