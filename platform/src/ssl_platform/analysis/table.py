"""Readings as tables for people: one a kind of place and encoder, random weights in brackets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ssl_platform.analysis.reading import Kind
from ssl_platform.analysis.record import Row

TITLES: dict[Kind, str] = {
    "output": "output",
    "layer": "by layer",
    "transformation": "by transformation of the views",
    "move": "by exact move of the grid",
    "corruption": "linear probe on changed views",
    "pair": "alike (CKA)",
}
_HEADS: dict[Kind, str] = {
    "output": "of",
    "layer": "layer",
    "transformation": "transformation",
    "move": "move",
    "corruption": "views",
    "pair": "layers",
}


WORDS = {
    "knn": "kNN",
    "nmi": "NMI",
    "ari": "ARI",
    "cka": "CKA",
    "rankme": "RankMe",
    "auc": "AUC",
    "map": "mAP",
    "r2": "R2",
    "hd95": "HD95",
    "f1": "F1",
}
"""How words of a measure's name are written."""


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        title: what it is of.
        head: names of the columns.
        lines: cells, as many as the head has.
    """

    title: str
    head: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]

    def text(self) -> list[str]:
        """Aligned lines below the title."""
        cells = [self.head, *self.lines]
        widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
        rows = ("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in cells)
        return [self.title, *(f"  {row}" for row in rows)]


def tables(rows: Sequence[Row]) -> list[Table]:
    """All tables, kind by kind, encoder by encoder. The output is one table of all encoders."""
    found = []
    for kind, title in TITLES.items():
        own = [row for row in rows if row.reading.kind == kind]
        encoders = list(dict.fromkeys(row.encoder for row in own))
        if kind == "output" and own:
            found.append(_outputs(own, encoders))
            continue
        found += [_places(kind, f"{e}: {title}", [row for row in own if row.encoder == e]) for e in encoders]
    return found


def _outputs(rows: Sequence[Row], encoders: Sequence[str]) -> Table:
    """A line a measure, a column an encoder."""
    measures = list(dict.fromkeys(row.reading.measure for row in rows))
    cells = {(row.reading.measure, row.encoder): cell(row) for row in rows}
    lines = tuple((spoken(m), *(cells.get((m, e), "") for e in encoders)) for m in measures)
    title = "output (random weights in brackets)" if any(row.random is not None for row in rows) else "output"
    return Table(title, ("", *encoders), lines)


def _places(kind: Kind, title: str, rows: Sequence[Row]) -> Table:
    """A line a place, a column a measure."""
    measures = list(dict.fromkeys(row.reading.measure for row in rows))
    places = list(dict.fromkeys(row.reading.at for row in rows))
    cells = {(row.reading.at, row.reading.measure): cell(row) for row in rows}
    lines = tuple((at, *(cells.get((at, m), "") for m in measures)) for at in places)
    return Table(title, (_HEADS[kind], *(spoken(m) for m in measures)), lines)


def cell(row: Row) -> str:
    """`0.81 [0.75, 0.86] (0.40)`; a dash where a value is not defined."""
    ends = row.reading.ci95
    interval = "" if ends is None else f" [{figure(ends[0])}, {figure(ends[1])}]"
    random = "" if row.random is None else f" ({figure(row.random.value)})"
    return figure(row.reading.value) + interval + random


def figure(value: float | None) -> str:
    """Three decimals; one of numbers from 10 on, none of whole ones."""
    if value is None:
        return "-"
    if value == int(value) and abs(value) > 1:
        return f"{int(value)}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def spoken(measure: str) -> str:
    """A measure's name in words."""
    return " ".join(WORDS.get(word, word) for word in measure.split("_"))
