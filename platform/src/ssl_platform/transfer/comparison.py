"""The table that `compare` makes, as Markdown, CSV, JSON and aligned text."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssl_platform.train.atomic import write_json, write_text
from ssl_platform.transfer.evaluation import as_result
from ssl_platform.types import Metric

HEAD = ("run", "metric", "value", "baseline", "difference", "95 % interval over")
FILES = ("compare.md", "compare.csv", "compare.json")


@dataclass(frozen=True)
class Comparison:
    """One run under one metric, beside its baseline.

    Attributes:
        run: name of the run.
        metric: `protocol/metric`.
        value: of the run.
        baseline: what it is compared with: `random`, `scratch`, or empty.
        beside: the baseline's value.
        difference: paired, run minus baseline.
        seeds: values were repeated this often.
    """

    run: str
    metric: str
    value: Metric
    baseline: str = ""
    beside: Metric | None = None
    difference: Metric | None = None
    seeds: int = 1

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        over = dict.fromkeys(m.ci_over for m in (self.value, self.difference) if m and m.ci95 and m.ci_over)
        beside = f"{self.baseline} {figure(self.beside)}" if self.beside is not None else ""
        difference = "" if self.difference is None else figure(self.difference, "+")
        return (self.run, self.metric, figure(self.value), beside, difference, ", ".join(str(word) for word in over))

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        named = {"value": self.value, "beside": self.beside, "difference": self.difference}
        metrics = as_result({name: metric for name, metric in named.items() if metric is not None})
        return {
            "run": self.run,
            "metric": self.metric,
            "baseline": self.baseline or None,
            "seeds": self.seeds,
            **{name: metrics.get(name) for name in named},
        }


def figure(metric: Metric | None, sign: str = "") -> str:
    """`0.812 [0.750, 0.860]`."""
    if metric is None:
        return ""
    interval = "" if metric.ci95 is None else " [" + ", ".join(f"{v:{sign}.3f}" for v in metric.ci95) + "]"
    return f"{metric.value:{sign}.3f}{interval}"


def markdown(rows: Sequence[Comparison]) -> str:
    """The rows as a Markdown table."""
    lines = [HEAD, ("---",) * len(HEAD), *(row.cells() for row in rows)]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def aligned(rows: Sequence[Comparison]) -> list[str]:
    """The rows as lines whose columns start at the same place; columns that are empty everywhere are left out."""
    lines = [row.cells() for row in rows]
    kept = [i for i in range(len(HEAD)) if any(line[i] for line in lines)]
    cells = [[line[i] for i in kept] for line in (HEAD, *lines)]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def table_csv(rows: Sequence[Comparison]) -> str:
    """The rows as CSV, a number a cell."""
    numbers = ("value", "beside", "difference")
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    bounds = [f"{name}{end}" for name in numbers for end in ("", "_low", "_high")]
    writer.writerow(["run", "metric", "baseline", "seeds", *bounds])
    for row in rows:
        found: list[float | str] = []
        for metric in (row.value, row.beside, row.difference):
            low, high = metric.ci95 if metric is not None and metric.ci95 else ("", "")
            found += ["" if metric is None else metric.value, low, high]
        writer.writerow([row.run, row.metric, row.baseline, row.seeds, *found])
    return file.getvalue()


def write_tables(folder: Path, rows: Sequence[Comparison], about: dict[str, Any]) -> dict[str, str]:
    """Write `FILES` and return their paths by kind."""
    texts, tables, facts = (folder / name for name in FILES)
    write_text(texts, markdown(rows))
    write_text(tables, table_csv(rows))
    write_json(facts, {**about, "rows": [row.as_dict() for row in rows]})
    return {"markdown": str(texts), "csv": str(tables), "json": str(facts)}
