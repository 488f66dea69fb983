"""What a comparison found, as its page tells it: runs, columns, baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ssl_platform.report.redaction import LEFT_OUT, without_classes

BASELINES = {"random": "random weights", "scratch": "from scratch"}
_WORDS = {"random": "random initialisation", "scratch": "training from scratch"}


@dataclass(frozen=True)
class Told:
    """What `compare.json` holds.

    Attributes:
        rows, pairs, costs: as `transfer.comparison` writes them.
        notes: what is missing.
    """

    rows: Sequence[Mapping[str, Any]]
    pairs: Sequence[Mapping[str, Any]] = ()
    costs: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = field(default=())

    @classmethod
    def of(cls, found: Mapping[str, Any], anonymous: bool = False) -> Told | None:
        """From the file's content; None where it is none. Anonymous runs are numbered."""
        if not found.get("rows"):
            return None
        made = cls(found["rows"], found.get("differences", ()), found.get("costs", ()), found.get("notes", ()))
        return made.numbered() if anonymous else made

    @property
    def runs(self) -> list[str]:
        """Names of the runs, baselines last."""
        names = dict.fromkeys(str(row["run"]) for row in self.rows)
        return sorted(names, key=lambda name: name in BASELINES)

    def columns(self) -> list[tuple[str, str]]:
        """Metric and labels of each column, by protocol as they were measured."""
        found = dict.fromkeys((str(row["metric"]), str(row["labels"] or "")) for row in self.rows)
        protocols = list(dict.fromkeys(metric.split("/")[0] for metric, _ in found))
        return sorted(found, key=lambda key: protocols.index(key[0].split("/")[0]))

    def first_keys(self) -> list[tuple[str, str]]:
        """The first metric of each protocol: the one choices are made by."""
        found: dict[tuple[str, str], tuple[str, str]] = {}
        for metric, labels in self.columns():
            found.setdefault((metric.split("/")[0], labels), (metric, labels))
        return list(found.values())

    def under(self, key: tuple[str, str]) -> list[Mapping[str, Any]]:
        """The rows of one column."""
        return [row for row in self.rows if (row["metric"], row["labels"] or "") == key]

    def title(self) -> tuple[str, str]:
        """How many runs, and beside what."""
        count = sum(name not in BASELINES for name in self.runs) or len(self.runs)
        words = {str(row["baseline"]) for row in self.rows if row["baseline"]} | {*self.runs} & {*BASELINES}
        beside = " and ".join(_WORDS[word] for word in sorted(words))
        return f"{count} {'run' if count == 1 else 'runs'} side by side", f"Beside {beside}." if beside else ""

    def numbered(self) -> Told:
        """The same without the names of runs and classes."""
        others = [name for name in self.runs if name not in BASELINES]
        names = {name: f"run {i + 1}" for i, name in enumerate(others)} | {name: name for name in BASELINES}
        metrics = without_classes(str(row["metric"]) for row in (*self.rows, *self.pairs) if "metric" in row)

        def renamed(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
            known = {"run": names, "first": names, "second": names, "metric": metrics}
            return [{k: known[k].get(v, LEFT_OUT) if k in known else v for k, v in row.items()} for row in rows]

        return Told(renamed(self.rows), renamed(self.pairs), renamed(self.costs), self.notes)
