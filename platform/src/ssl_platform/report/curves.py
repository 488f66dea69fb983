"""Curves of a run from `metrics.csv`, thinned so that nothing a reader would see is lost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

POINTS = 600
"""Points of a curve on the page, at most."""
SMOOTHING = 40
"""A smoothed curve averages over the run's length divided by this."""

Curve = tuple[list[float], list[float]]


@dataclass(frozen=True)
class Line:
    """A level to compare with.

    Attributes:
        name: what it is.
        y: where.
        kind: `baseline`, or `limit` for one that must not be crossed.
    """

    name: str
    y: float
    kind: str = "baseline"


@dataclass
class Chart:
    """One drawing.

    Attributes:
        id: unique on the page.
        title: what is drawn.
        series: name and points of each curve, by step; the first of two named `... (each step)` is drawn faintly.
        text: one sentence on how to read it.
        lines: levels.
        log: whether the scale may be logarithmic.
        now: the value beside the title, as text.
    """

    id: str
    title: str
    series: list[tuple[str, Curve]]
    text: str = ""
    lines: list[Line] = field(default_factory=list)
    log: bool = False
    now: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For the page's script."""
        return {
            "id": self.id,
            "title": self.title,
            "log": self.log,
            "series": [{"name": n, "x": x, "y": [_short(v) for v in y]} for n, (x, y) in self.series],
            "lines": [{"name": line.name, "y": _short(line.y), "kind": line.kind} for line in self.lines],
        }


def column(rows: Sequence[Mapping[str, str]], name: str) -> Curve:
    """Steps and finite values of one column, empty cells left out."""
    x, y = [], []
    for row in rows:
        try:
            step, value = float(row.get("step") or "nan"), float(row.get(name) or "nan")
        except ValueError:
            continue
        if math.isfinite(step) and math.isfinite(value):
            x.append(step)
            y.append(value)
    return x, y


def thinned(curve: Curve, points: int = POINTS) -> Curve:
    """At most `points` points: least and greatest of every stretch stay, and both ends."""
    x, y = curve
    if len(x) <= points:
        return curve
    buckets = max(1, (points - 2) // 2)
    keep = {0, len(x) - 1}
    for bucket in range(buckets):
        start, end = bucket * len(x) // buckets, (bucket + 1) * len(x) // buckets
        stretch = range(start, max(end, start + 1))
        keep |= {min(stretch, key=y.__getitem__), max(stretch, key=y.__getitem__)}
    order = sorted(keep)
    return [x[i] for i in order], [y[i] for i in order]


def smoothed(curve: Curve) -> Curve:
    """The running mean over a fortieth of the curve, centred, narrower at both ends."""
    x, y = curve
    half = len(y) // SMOOTHING // 2
    sums = [0.0]
    for value in y:
        sums.append(sums[-1] + value)
    means = []
    for i in range(len(y)):
        reach = min(half, i, len(y) - 1 - i)
        means.append((sums[i + reach + 1] - sums[i - reach]) / (2 * reach + 1))
    return x, means


def loss_chart(rows: Sequence[Mapping[str, str]], trivial: float | None) -> Chart | None:
    """The loss, each step faintly and its running mean."""
    raw = column(rows, "loss")
    if not raw[0]:
        return None
    mean = smoothed(raw)
    series = [("loss", thinned(raw))]
    if len(raw[0]) >= 2 * SMOOTHING:
        series = [("loss (each step)", thinned(raw)), ("loss (running mean)", thinned(mean))]
    lines = [] if trivial is None else [Line("a model that ignores its input", trivial)]
    text = "The training loss. " + ("It has to fall below the dashed line." if lines else "")
    return Chart("loss", "Loss", series, text.strip(), lines, log=min(raw[1]) > 0, now=f"{mean[1][-1]:.4g}")


_FURTHER = (
    ("lr", "Learning rate", "Of the first parameter group."),
    ("grad_norm", "Gradient norm", "Before clipping."),
    ("samples_per_second", "Samples a second", "Over all devices."),
    ("data_wait", "Data wait", "Fraction of the time the model waited for its input."),
    ("weight_decay", "Weight decay", "Of the first parameter group."),
)


_SPANS = ("lr", "grad_norm")
"""Values that may span orders of magnitude."""


def further_charts(rows: Sequence[Mapping[str, str]]) -> list[Chart]:
    """Terms of the loss, learning rate, gradient norm and speed; a weight decay that never moves is left out."""
    charts = []
    terms = sorted({name for row in rows[:1] for name in row if name.startswith("loss/")})
    curves = [(name.removeprefix("loss/").replace("_", " "), thinned(column(rows, name))) for name in terms]
    if shown := [(name, curve) for name, curve in curves if curve[0]]:
        charts.append(Chart("terms", "Terms of the loss", shown[:6], "What the loss is made of."))
    for name, title, text in _FURTHER:
        x, y = column(rows, name)
        if not x or (name == "weight_decay" and min(y) == max(y)):
            continue
        chart = Chart(
            name, title, [(title.lower(), thinned((x, y)))], text, log=name in _SPANS and min(y) > 0, now=f"{y[-1]:.3g}"
        )
        charts.append(chart)
    return charts


def _short(value: float) -> float:
    """Five significant digits: more cannot be seen."""
    return float(f"{value:.5g}")
