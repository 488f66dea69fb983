"""The table of `compare` as Markdown, CSV and aligned text."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from ssl_platform.train.atomic import write_json, write_text
from ssl_platform.transfer.comparison import Comparison, Cost, Pair, Table
from ssl_platform.types import Metric

HEAD = (
    "run", "metric", "labels", "value", "baseline", "difference", "difference over items", "from scratch",
    "difference from scratch", "seeds", "95 % interval over",
)  # fmt: skip
PAIR_HEAD = ("metric", "labels", "run", "minus", "difference", "over items", "95 % interval over")
COST_HEAD = ("run", "encoder parameters", "pretraining steps", "pretraining s", "evaluation steps", "evaluation s")
FILES = ("compare.md", "compare.csv", "compare.json", "differences.csv")
MOST_PAIRS = 60
"""Lines of differences in Markdown; `differences.csv` has all."""


def cells(row: Comparison) -> tuple[str, ...]:
    """A row as text."""
    over = dict.fromkeys(m.ci_over for m in (row.value, row.difference) if m and m.ci95 and m.ci_over)
    beside = f"{row.baseline} {figure(row.beside)}" if row.beside is not None else ""
    signed = (figure(m, "+") for m in (row.difference, row.items, row.over_scratch))
    apart, items, over_scratch = signed
    seeds = str(row.seeds) if row.seeds > 1 else ""
    said = ", ".join(str(word) for word in over)
    value = figure(row.value)
    return (
        row.run, row.metric, row.labels, value, beside, apart, items, figure(row.scratch), over_scratch, seeds, said
    )  # fmt: skip


def pair_cells(pair: Pair) -> tuple[str, ...]:
    """Two runs as text."""
    over, items = pair.difference.ci_over or "", figure(pair.items, "+")
    return (pair.metric, pair.labels, pair.first, pair.second, figure(pair.difference, "+"), items, over)


def cost_cells(cost: Cost) -> tuple[str, ...]:
    """A cost as text."""
    counts = (cost.parameters, cost.pretraining_steps, cost.pretraining_seconds)
    return (cost.run, *(_count(n) for n in (*counts, cost.evaluation_steps, cost.evaluation_seconds)))


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 100 or float(value).is_integer() else f"{value:.1f}"


def figure(metric: Metric | None, sign: str = "") -> str:
    """`0.812 [0.750, 0.860]`."""
    if metric is None:
        return ""
    interval = "" if metric.ci95 is None else " [" + ", ".join(f"{v:{sign}.3f}" for v in metric.ci95) + "]"
    return f"{metric.value:{sign}.3f}{interval}"


def markdown(table: Table) -> str:
    """Rows, differences between runs, costs and notes."""
    parts = [_markdown(HEAD, [cells(row) for row in table.rows])]
    if table.pairs:
        more = len(table.pairs) - MOST_PAIRS
        parts.append("Differences between runs, paired:\n")
        parts.append(_markdown(PAIR_HEAD, [pair_cells(pair) for pair in table.pairs[:MOST_PAIRS]]))
        parts += [f"{more:,} more are in differences.csv.\n"] if more > 0 else []
    if table.costs:
        parts += ["Cost, means over seeds:\n", _markdown(COST_HEAD, [cost_cells(cost) for cost in table.costs])]
    parts += ["".join(f"- {note}\n" for note in table.notes)] if table.notes else []
    return "\n".join(parts)


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    kept, *rest = _kept(head, lines)
    rows = [kept, ["---"] * len(kept), *rest]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in rows)


def _kept(head: Sequence[str], lines: Sequence[Sequence[str]]) -> list[list[str]]:
    """Head and lines without the columns that are empty everywhere."""
    kept = [i for i in range(len(head)) if any(line[i] for line in lines)]
    return [[line[i] for i in kept] for line in (head, *lines)]


def aligned(rows: Sequence[Comparison]) -> list[str]:
    """The rows as lines whose columns start at the same place; columns that are empty everywhere are left out."""
    found = _kept(HEAD, [cells(row) for row in rows])
    widths = [max(len(cell) for cell in column) for column in zip(*found, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in found]


def table_csv(table: Table) -> str:
    """The rows as CSV, a number a cell, with the cost of each run."""
    costs = {cost.run: cost for cost in table.costs}
    names = list(table.rows[0].figures) if table.rows else []
    own = [name for name in Cost.__dataclass_fields__ if name != "run"]
    head = ["run", "metric", "labels", "baseline", "seeds", *_bounded(names), *own]
    lines = [
        [row.run, row.metric, row.labels, row.baseline, row.seeds, *_numbers(list(row.figures.values()))]
        + [_known(getattr(costs.get(row.run, Cost(row.run)), name)) for name in own]
        for row in table.rows
    ]
    return _csv(head, lines)


def pairs_csv(table: Table) -> str:
    """The differences between runs as CSV."""
    head = ["metric", "labels", "first", "second", *_bounded(["difference", "difference_items"])]
    lines = [[p.metric, p.labels, p.first, p.second, *_numbers([p.difference, p.items])] for p in table.pairs]
    return _csv(head, lines)


def _bounded(names: Sequence[str]) -> list[str]:
    return [f"{name}{end}" for name in names for end in ("", "_low", "_high")]


def _known(value: float | None) -> float | str:
    return "" if value is None else value


def _numbers(metrics: Sequence[Metric | None]) -> list[float | str]:
    found: list[float | str] = []
    for metric in metrics:
        low, high = metric.ci95 if metric is not None and metric.ci95 else ("", "")
        found += ["" if metric is None else metric.value, low, high]
    return found


def _csv(head: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([head, *lines])
    return file.getvalue()


def write_tables(folder: Path, table: Table) -> dict[str, str]:
    """Write `FILES` and return their paths by kind."""
    texts, numbers, facts, pairs = (folder / name for name in FILES)
    write_text(texts, markdown(table))
    write_text(numbers, table_csv(table))
    write_json(facts, table.as_dict())
    write_text(pairs, pairs_csv(table))
    return {"markdown": str(texts), "csv": str(numbers), "json": str(facts), "differences": str(pairs)}
