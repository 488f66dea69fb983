"""Predictions of test items as an evaluation leaves them in its folder. Reading them needs no torch."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PREFIX, RANDOM_PREFIX = "predictions_", "random_"
"""Before the name of a protocol: of the encoder, and of the same net with random weights."""
APPLIED, TABLE = "predict", "predictions.csv"
"""What `predict` writes, and what stands for it in the place of a protocol."""


@dataclass(frozen=True)
class Predictions:
    """What one protocol said about the test items.

    Attributes:
        protocol: its name.
        kind: of the task.
        ids, groups: `[n]`.
        classes: names of the columns of `score` for classes and labels, else empty.
        target: `[n]` classes, `[n, K]` 0/1 labels or `[n]` values; `[n, 0]` where they are unknown, or there are
            figures instead.
        score: `[n, K]`, `[n]` values, or `[n, M]` figures; nan where a figure is not defined.
        columns: names of the M figures.
    """

    protocol: str
    kind: str
    ids: list[str]
    groups: list[str]
    classes: tuple[str, ...]
    target: np.ndarray
    score: np.ndarray
    columns: tuple[str, ...] = ()

    @property
    def labelled(self) -> bool:
        """Whether targets are known."""
        return self.target.size > 0


def protocols_of(run: Path) -> list[str]:
    """The protocols whose predictions lie in a folder."""
    return [path.stem.removeprefix(PREFIX) for path in sorted(run.glob(f"{PREFIX}*.csv"))]


def read_predictions(run: Path, protocol: str, kind: str, prefix: str = PREFIX) -> Predictions | None:
    """Predictions of one protocol, or None where there are none that can be read.

    Args:
        run: folder of `probe` or `finetune`.
        protocol: name.
        kind: of the task, as `result.json` says.
        prefix: whose predictions.
    """
    try:
        with (run / f"{prefix}{protocol}.csv").open(encoding="utf-8", newline="") as stream:
            head, *rows = list(csv.reader(stream))
        return _parsed(protocol, kind, head, rows, _groups(run)) if rows else None
    except (OSError, ValueError, KeyError, IndexError):
        return None


def read_applied(run: Path, kind: str, labelled: bool = True) -> Predictions | None:
    """What `predict` said about the items whose labels are known, or None where there are none that can be read.

    Args:
        run: folder of `predict`.
        kind: of the task, as `result.json` says.
        labelled: False gives all items, without their labels.
    """
    try:
        with (run / TABLE).open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            rows, head = list(reader), list(reader.fieldnames or ())
        if kind == "segmentation":
            figures = head[2:]
            kept = [row for row in rows if any(row[name] for name in figures) or not labelled]
            table = [[row["id"], *(row[name] for name in figures)] for row in kept]
            return _parsed(APPLIED, kind, ["id", *figures], table, {}) if kept and figures else None
        classes = [name for name in head if name not in ("id", "prediction", "target", "group")]
        kept = [row for row in rows if row.get("target") or not labelled]
        if not kept:
            return None
        scores = [[row[name] for name in classes or ("prediction",)] for row in kept]
        ids, groups = [row["id"] for row in kept], [row.get("group") or row["id"] for row in kept]
        if not labelled:
            values = np.array(scores, dtype=float)
            score = values if classes else values[:, 0]
            return Predictions(APPLIED, kind, ids, groups, tuple(classes), np.zeros((len(ids), 0)), score)
        table = [[name, row["target"], *score] for name, row, score in zip(ids, kept, scores, strict=True)]
        return _parsed(APPLIED, kind, ["id", "target", *classes], table, dict(zip(ids, groups, strict=True)))
    except (OSError, ValueError, KeyError, IndexError):
        return None


def _parsed(
    protocol: str, kind: str, head: Sequence[str], rows: Sequence[Sequence[str]], groups: Mapping[str, str]
) -> Predictions:
    ids = [row[0] for row in rows]
    member = [groups.get(name, name) for name in ids]
    if head[1] != "target":
        figures = np.array([[float(v) if v else np.nan for v in row[1:]] for row in rows])
        return Predictions(protocol, kind, ids, member, (), np.zeros((len(ids), 0)), figures, tuple(head[1:]))
    score = np.array([[float(v) for v in row[2:]] for row in rows])
    known = [row[1] for row in rows]
    if kind == "regression":
        return Predictions(protocol, kind, ids, member, (), np.array([float(v) for v in known]), score[:, 0])
    classes = tuple(head[2:])
    number = {name: i for i, name in enumerate(classes)}
    if kind == "multi-label":
        target = np.zeros(score.shape)
        for i, names in enumerate(known):
            target[i, [number[name] for name in names.split("|") if name]] = 1
    else:
        target = np.array([number[name] for name in known])
    return Predictions(protocol, kind, ids, member, classes, target, score)


def _groups(run: Path) -> dict[str, str]:
    """The group of each item, of `splits.csv`."""
    try:
        with (run / "splits.csv").open(encoding="utf-8", newline="") as stream:
            return {row["id"]: row["group"] for row in csv.DictReader(stream)}
    except OSError:
        return {}
