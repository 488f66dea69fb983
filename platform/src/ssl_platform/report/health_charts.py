"""The numbers behind a run's verdict over its steps, each with its untrained value and the limit it must not cross."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ssl_platform.report.curves import Chart, Line, column, thinned
from ssl_platform.train.health import ONE_OUTPUT, RANK_LOST_TOKENS, SPREAD_LOST, UNIFORM

_TEXTS = {
    "effective_rank": (
        "Effective rank",
        "Directions the embeddings make use of. Below the limit the representation has collapsed into a few.",
    ),
    "spread": (
        "Spread",
        "Distance of embeddings from their mean: 1 when isotropic, 0 when every input gets the same one.",
    ),
    "knn": ("Nearest-neighbour score", "Labels of clean windows told by their neighbours. Labels train nothing."),
    "alignment": ("Alignment", "Distance between two views of an item; small when views are recognised."),
    "uniformity": ("Uniformity", "How evenly embeddings fill the sphere; lower is more even, 0 is constant."),
    "teacher_entropy": (
        "Teacher entropy",
        "Of each output, as a fraction of the largest; at 1 the teacher never decides.",
    ),
    "teacher_usage": (
        "Teacher usage",
        "Entropy of the mean output; near 0 the teacher says the same to every input.",
    ),
}
_DIGITS = 3


def health_charts(rows: Sequence[Mapping[str, str]], untrained: Mapping[str, Any]) -> list[Chart]:
    """One chart for every number that was measured.

    Args:
        rows: of `metrics.csv`.
        untrained: the same numbers of the network before its first step.
    """
    charts = []
    for name, (title, text) in _TEXTS.items():
        x, y = column(rows, f"health/{name}")
        if not x:
            continue
        before = untrained.get(name)
        lines = []
        if isinstance(before, int | float):
            word = "random initialisation" if name == "knn" else "untrained"
            lines.append(Line(f"{word} {before:.{_DIGITS}g}", float(before)))
            if x[0] > 0:
                x, y = [0.0, *x], [float(before), *y]
        if (limit := limit_of(name, untrained)) is not None:
            lines.append(Line(f"collapsed {limit[0]} {limit[1]:.{_DIGITS}g}", limit[1], kind="limit"))
        now = f"{y[-1]:.{_DIGITS}g}"
        charts.append(Chart(name, title, [(title.lower(), thinned((x, y)))], text, lines, now=now))
    return charts


def limit_of(name: str, untrained: Mapping[str, Any]) -> tuple[str, float] | None:
    """On which side of which value the verdict is `collapsed`, whatever the other numbers are."""
    before = untrained.get(name)
    if name == "effective_rank" and isinstance(before, int | float):
        return "below", RANK_LOST_TOKENS * before
    if name == "spread" and isinstance(before, int | float):
        return "below", SPREAD_LOST * before
    if name == "teacher_usage":
        return "below", ONE_OUTPUT
    if name == "teacher_entropy":
        return "above", UNIFORM
    return None
