"""The table that `compare` makes: its rows, the differences between runs, and what each cost."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from ssl_platform.data.progress import Bar
from ssl_platform.transfer.evaluation import as_result
from ssl_platform.transfer.repeats import Cell, difference
from ssl_platform.types import Metric

RANDOM, SCRATCH, FINETUNE = "random", "scratch", "finetune"


@dataclass(frozen=True)
class Comparison:
    """One run under one metric, beside its baselines.

    Attributes:
        run: name of the run.
        metric: `protocol/metric`.
        value: of the run.
        baseline: what it is compared with under the same protocol: `random`, `scratch`, or empty.
        beside: the baseline's value.
        difference: paired, run minus baseline.
        seeds: values were repeated this often.
        labels: budget of labels in words; empty for all.
        items: the difference with its interval over test items, where `difference` has one over seeds.
        scratch: the same figure of a model trained from scratch with the labels, for other protocols than that.
        over_scratch: paired, run minus scratch.
    """

    run: str
    metric: str
    value: Metric
    baseline: str = ""
    beside: Metric | None = None
    difference: Metric | None = None
    seeds: int = 1
    labels: str = ""
    items: Metric | None = None
    scratch: Metric | None = None
    over_scratch: Metric | None = None

    @property
    def figures(self) -> dict[str, Metric | None]:
        """All figures by name."""
        return {
            "value": self.value,
            "beside": self.beside,
            "difference": self.difference,
            "difference_items": self.items,
            "scratch": self.scratch,
            "difference_scratch": self.over_scratch,
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        figures = as_result({name: metric for name, metric in self.figures.items() if metric is not None})
        return {
            "run": self.run,
            "metric": self.metric,
            "labels": self.labels or None,
            "baseline": self.baseline or None,
            "seeds": self.seeds,
            **{name: figures.get(name) for name in self.figures},
        }


@dataclass(frozen=True)
class Pair:
    """Two runs under one metric.

    Attributes:
        metric, labels: as in `Comparison`.
        first, second: names of the runs.
        difference: paired, first minus second.
        items: the same over test items, where `difference` is over seeds.
    """

    metric: str
    labels: str
    first: str
    second: str
    difference: Metric
    items: Metric | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        figures = {"difference": self.difference, "difference_items": self.items}
        found = as_result({name: metric for name, metric in figures.items() if metric is not None})
        names = {"metric": self.metric, "labels": self.labels or None, "first": self.first, "second": self.second}
        return names | {name: found.get(name) for name in figures}


@dataclass(frozen=True)
class Cost:
    """What a run took; None where it is not known.

    Attributes:
        run: name.
        parameters: of the encoder.
        pretraining_steps, pretraining_seconds: of the encoder, 0 for random weights; means over seeds.
        evaluation_steps: of training heads and models.
        evaluation_seconds: of its evaluations together; means over seeds.
    """

    run: str
    parameters: int | None = None
    pretraining_steps: float | None = None
    pretraining_seconds: float | None = None
    evaluation_steps: float | None = None
    evaluation_seconds: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return dict(vars(self))


@dataclass
class Table:
    """All of it.

    Attributes:
        rows: by metric.
        pairs: every two runs under every metric.
        costs: one a run.
        notes: what is missing, in sentences.
        about: ids of data and split, and how it was measured.
    """

    rows: list[Comparison]
    pairs: list[Pair] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            **self.about,
            "rows": [row.as_dict() for row in self.rows],
            "differences": [pair.as_dict() for pair in self.pairs],
            "costs": [cost.as_dict() for cost in self.costs],
            "notes": self.notes,
        }


def tabulated(
    cells: Sequence[Cell], costs: Sequence[Cost], about: dict[str, Any], beside: Sequence[Cell] = ()
) -> Table:
    """The table of all cells, by metric; the cells named `random` and `scratch` are the others' baselines too.

    Args:
        cells: shown.
        costs: of the runs.
        about: ids, and how it was measured.
        beside: further baselines, which have no rows.
    """
    order = list(dict.fromkeys(cell.metric for cell in cells))
    sorted_cells = sorted(cells, key=lambda cell: order.index(cell.metric))
    known = {(cell.run, cell.metric, cell.labels): cell for cell in (*beside, *cells)}
    couples = []
    for metric, labels in dict.fromkeys((cell.metric, cell.labels) for cell in sorted_cells):
        alike = [cell for cell in sorted_cells if (cell.metric, cell.labels) == (metric, labels)]
        couples += list(combinations([cell for cell in alike if cell.run not in (RANDOM, SCRATCH)], 2))
    rows, pairs = [], []
    with Bar("paired intervals", sys.stderr) as bar:
        for cell in sorted_cells:
            rows.append(_row(cell, known))
            bar(len(rows), len(sorted_cells) + len(couples))
        for a, b in couples:
            found = difference(a, b)
            pairs.append(Pair(a.metric, a.labels, a.run, b.run, found.main, found.besides))
            bar(len(rows) + len(pairs), len(rows) + len(couples))
    return Table(rows, pairs, list(costs), _missing(rows), about)


def _row(cell: Cell, known: Mapping[tuple[str, str, str], Cell]) -> Comparison:
    protocol, _, metric = cell.metric.partition("/")
    word = SCRATCH if protocol == FINETUNE else RANDOM
    row = Comparison(cell.run, cell.metric, cell.summary(), seeds=len(cell.repeats), labels=cell.labels)
    if cell.run in (RANDOM, SCRATCH):
        return row
    found = vars(row)
    given = known.get((word, cell.metric, cell.labels)) or cell.own
    if given is not None:
        apart = difference(cell, given)
        found = found | {"baseline": word, "beside": given.summary(), "difference": apart.main, "items": apart.besides}
    scratch = _scratch(cell, f"{FINETUNE}/{metric}", known) if word == RANDOM else None
    if scratch is not None:
        found = found | {"scratch": scratch.summary(), "over_scratch": difference(cell, scratch).main}
    return Comparison(**found)


def _scratch(cell: Cell, metric: str, known: Mapping[tuple[str, str, str], Cell]) -> Cell | None:
    """The figure of training from scratch: of a run that did, else what was measured beside fine-tuning."""
    tuned = known.get((cell.run, metric, cell.labels))
    return known.get((SCRATCH, metric, cell.labels)) or (None if tuned is None else tuned.own)


def _missing(rows: Sequence[Comparison]) -> list[str]:
    """Which baselines nobody measured, and how to."""
    frozen = {row.metric.split("/")[0] for row in rows if row.run != RANDOM and not row.metric.startswith(FINETUNE)}
    beside = {row.metric.split("/")[0] for row in rows if row.baseline == RANDOM}
    notes = []
    if lacking := sorted(frozen - beside - {"monitor"}):
        how = f"ssl-platform probe --encoder random --protocol {','.join(lacking)}"
        notes.append(f"no random initialisation under {', '.join(lacking)}: {how} measures it")
    if not any(row.run == SCRATCH or row.baseline == SCRATCH or row.scratch is not None for row in rows):
        how = "ssl-platform finetune --encoder random trains one, or --protocol finetune with --labels"
        notes.append(f"no model trained from scratch with the labels: {how}")
    return notes
