"""Which task the labels make: classification, multi-label, regression or segmentation.

Inferred from the values and always printed; where it is not clear the user is asked for `--task`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np

from ssl_platform.data.names import listing, natural_key, nearest
from ssl_platform.errors import LabelError

Kind = Literal["classification", "multi-label", "regression", "segmentation"]
KINDS: tuple[str, ...] = get_args(Kind)
FEW = 20  # more distinct integers than this are a quantity, not classes
_INTEGER = re.compile(r"[+-]?\d+")
_BOOL = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0}


@dataclass(frozen=True)
class LabelLayout:
    """What the labels of a set look like.

    Attributes:
        kind: the task.
        classes: class names in natural order; empty for regression, and for segmentation until masks are read.
        positive: the class that AUC counts as positive, or None with more than two classes.
        values: for segmentation, the mask value of each class.
        why: how the kind was found, for the printed line.
    """

    kind: Kind
    classes: tuple[str, ...] = ()
    positive: str | None = None
    values: tuple[int, ...] = ()
    why: str = ""

    def line(self) -> str:
        """The line to print: `task: classification (text labels), 3 classes: a, b, c`."""
        classes = f", {len(self.classes)} classes: {listing(self.classes)}" if self.classes else ""
        positive = f"; positive: {self.positive}" if self.positive is not None else ""
        return f"task: {self.kind} ({self.why}){classes}{positive}"


def infer(
    labels: Mapping[str, Sequence[str]],
    masks: bool,
    *,
    origin: str = "labels",
    task: str | None = None,
    positive: str | None = None,
    names: Mapping[int, str] | None = None,
) -> LabelLayout | None:
    """Find the task of label columns and masks; None when there are no labels.

    Args:
        labels: values by column name, empty where unknown.
        masks: whether items have masks.
        origin: name of the source, for messages.
        task: what the user asked for; other names than the four kinds leave it to the values.
        positive: the class `labels.positive` names.
        names: names of mask values, where known.

    Raises:
        LabelError: the task is not clear or does not fit the values, one class only, an unknown positive class.
    """
    known = {name: [value for value in values if value] for name, values in labels.items()}
    known = {name: values for name, values in known.items() if values}
    asked = cast("Kind", task) if task in KINDS else None
    if masks and known and asked is None:
        raise LabelError(
            f"{origin} has both masks and labels: say which with --task segmentation or --task classification"
        )
    if masks and asked in (None, "segmentation"):
        classes = dict(sorted((names or {}).items()))
        return LabelLayout("segmentation", tuple(classes.values()), None, tuple(classes), "masks")
    if asked == "segmentation":
        raise LabelError("--task segmentation needs masks: give --labels FOLDER or a table with a column 'mask'")
    if not known:
        return None
    layout = _several(known, asked) if len(labels) > 1 else _single(next(iter(known.values())), origin, asked)
    return _with_positive(layout, positive)


def _several(known: Mapping[str, Sequence[str]], asked: Kind | None) -> LabelLayout:
    """Several columns are 0/1 each."""
    if asked not in (None, "multi-label"):
        raise LabelError(f"--task {asked} takes one label column, and labels.label names {listing(list(known))}")
    for name, values in known.items():
        wrong = next((value for value in values if value.casefold() not in _BOOL), None)
        if wrong is not None:
            raise LabelError(f"labels.label names several columns, so each holds 0 or 1, but {name!r} holds {wrong!r}")
    return LabelLayout("multi-label", tuple(known), why=f"{len(known)} columns of 0 and 1")


def _single(values: Sequence[str], origin: str, asked: Kind | None) -> LabelLayout:
    """One column: what its values are decides."""
    if asked == "multi-label" or (asked is None and any("|" in value for value in values)):
        classes = {part.strip() for value in values for part in value.split("|")} - {""}
        return LabelLayout("multi-label", _several_classes(classes, origin), why="values joined by '|'")
    if asked == "regression":
        for value in values:
            if _number(value) is None:
                raise LabelError(f"--task regression needs numbers, but {origin} holds {value!r}")
        return LabelLayout("regression", why="--task")
    if asked == "classification":
        return LabelLayout("classification", _several_classes({class_name(v) for v in values}, origin), why="--task")
    return _guess(values, origin)


def _guess(values: Sequence[str], origin: str) -> LabelLayout:
    """The kind of one column of labels nobody named a task for."""
    distinct = set(values)
    numeric = {value for value in distinct if _number(value) is not None}
    integer = {value for value in numeric if _INTEGER.fullmatch(value)}
    if numeric != distinct:
        if len(numeric) > len(integer) and 2 * len(numeric) > len(distinct):
            odd = min(distinct - numeric)
            raise _unclear(origin, f"mostly numbers, but {odd!r} is not one")
        if len(distinct) == len(values) > 2 or (len(distinct) > FEW and 2 * len(distinct) > len(values)):
            raise _unclear(origin, f"{len(distinct)} distinct texts in {len(values)} rows")
        return LabelLayout("classification", _several_classes(distinct, origin), why="text labels")
    if numeric != integer:
        if all(float(value).is_integer() for value in numeric) and len(numeric) <= FEW:
            raise _unclear(origin, f"whole numbers written as {min(numeric - integer)!r}")
        return LabelLayout("regression", why="decimal numbers")
    if len(integer) > FEW or (len(integer) > 2 and 2 * len(integer) > len(values)):
        raise _unclear(origin, f"{len(integer)} distinct whole numbers in {len(values)} rows")
    return LabelLayout("classification", _several_classes(distinct, origin), why="few distinct whole numbers")


def _unclear(origin: str, what: str) -> LabelError:
    return LabelError(f"the task of {origin} is unclear ({what}): pass --task classification or --task regression")


def _several_classes(classes: set[str], origin: str) -> tuple[str, ...]:
    """Classes in natural order.

    Raises:
        LabelError: there is only one.
    """
    if len(classes) < 2:
        only = next(iter(classes), "none")
        raise LabelError(f"{origin} has one class only ({only!r}): a task needs at least two")
    return tuple(sorted(classes, key=natural_key))


def _with_positive(layout: LabelLayout, positive: str | None) -> LabelLayout:
    """The layout with its positive class: the one asked for, else the second of two."""
    if layout.kind != "classification":
        return layout
    if positive is not None and positive not in layout.classes:
        raise LabelError(
            f"labels.positive={positive} is not a class: they are {listing(layout.classes)}"
            f"{nearest(positive, layout.classes)}"
        )
    if positive is None and len(layout.classes) == 2:
        positive = layout.classes[1]
    return LabelLayout(layout.kind, layout.classes, positive, why=layout.why)


def class_name(value: str) -> str:
    """The class a value names: `1.0` and `1` are one class, as tables with gaps turn integers into floats."""
    number = None if _INTEGER.fullmatch(value) else _number(value)
    return str(int(number)) if number is not None and number.is_integer() else value


def _number(value: str) -> float | None:
    """The finite number a text is, or None."""
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in value else None


def encode(layout: LabelLayout | None, labels: Mapping[str, Sequence[str]], count: int) -> np.ndarray[Any, Any]:
    """Targets as batches carry them.

    Args:
        layout: what the labels are, or None.
        labels: `count` values by column name, empty where unknown.
        count: number of entries n.

    Returns:
        `[n]` int64 class, -1 unknown; `[n]` float64, nan unknown (regression); `[n, K]` float32, nan unknown
        (multi-label); `[n]` int64 of -1 for segmentation or without labels.
    """
    if layout is None or layout.kind == "segmentation":
        return np.full(count, -1, dtype=np.int64)
    if len(labels) > 1:
        columns = [labels.get(name, [""] * count) for name in layout.classes]
        return np.array([[_BOOL.get(value.casefold(), math.nan) for value in column] for column in columns], "f4").T
    values = next(iter(labels.values()))
    if layout.kind == "regression":
        return np.array([float(value) if value else math.nan for value in values], dtype=np.float64)
    number = {name: i for i, name in enumerate(layout.classes)}
    if layout.kind == "classification":
        return np.array(
            [number.get(value, number.get(class_name(value), -1)) if value else -1 for value in values], dtype=np.int64
        )
    target = np.full((count, len(number)), math.nan, dtype=np.float32)
    for i, value in enumerate(values):
        if value:
            target[i] = 0.0
            for part in value.split("|"):
                if part.strip():
                    target[i, number[part.strip()]] = 1.0
    return target
