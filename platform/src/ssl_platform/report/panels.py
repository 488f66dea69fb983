"""What was predicted for the test items, from the tables an evaluation leaves in its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.report.class_scores import ClassScore, confusion, of_classes, of_labels
from ssl_platform.report.redaction import Redaction, class_of
from ssl_platform.report.whiskers import Interval
from ssl_platform.transfer.stored_predictions import (
    APPLIED,
    Predictions,
    protocols_of,
    read_applied,
    read_predictions,
)

MOST_CLASSES = 24
"""A larger matrix of confusions is not drawn; its most frequent confusions are listed."""
LISTED = 12
POINTS = 600


@dataclass(frozen=True)
class Panel:
    """The predictions of one protocol.

    Attributes:
        protocol: its name.
        classes: names.
        counts: `[K, K]` items by true and predicted class, or None.
        scores: of each class.
        points: item, true and predicted value, of regressions.
        total: test items.
        confused: true class, predicted class and items of the most frequent confusions.
    """

    protocol: str
    classes: tuple[str, ...] = ()
    counts: np.ndarray | None = None
    scores: list[ClassScore] = field(default_factory=list)
    points: list[tuple[str, float, float]] = field(default_factory=list)
    total: int = 0
    confused: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def items(self) -> str:
        """What its items are: of evaluations those of the test part, of `predict` all that have labels."""
        return "labelled items" if self.protocol == APPLIED else "test items"


def panels_of(run: Path, result: Mapping[str, Any], redaction: Redaction) -> list[Panel]:
    """A panel for each protocol whose predictions can be read.

    Args:
        run: folder of `probe`, `finetune` or `predict`.
        result: `result.json`.
        redaction: what must be left out.
    """
    kind = str(result.get("task") or "")
    made = []
    stored = [(protocol, read_predictions(run, protocol, kind)) for protocol in protocols_of(run)]
    for protocol, found in [*stored, (APPLIED, read_applied(run, kind))]:
        panel = None
        if found is not None and not found.columns:
            panel = _panel(found, redaction)
        elif found is not None and kind == "segmentation":
            panel = _of_masks(protocol, result, redaction, len(found.ids))
        made += [panel] if panel is not None else []
    return made


def _panel(found: Predictions, redaction: Redaction) -> Panel:
    names = _names(found.classes, redaction)
    total = len(found.ids)
    if found.kind == "regression":
        chosen = np.linspace(0, total - 1, min(total, POINTS)).round().astype(int)
        points = [(redaction.item(found.ids[i]), float(found.target[i]), float(found.score[i])) for i in chosen]
        return Panel(found.protocol, points=points, total=total)
    if found.kind == "multi-label":
        return Panel(
            found.protocol, names, scores=of_labels(found.target, found.score, found.groups, names), total=total
        )
    counts = confusion(found.target, found.score.argmax(axis=1), len(names))
    scores = of_classes(found.target, found.score, found.groups, names)
    shown = counts if len(names) <= MOST_CLASSES else None
    return Panel(found.protocol, names, shown, scores, total=total, confused=_confused(counts, names))


def _names(classes: Sequence[str], redaction: Redaction) -> tuple[str, ...]:
    return tuple(f"class {i + 1}" for i in range(len(classes))) if redaction.anonymous else tuple(classes)


def _confused(counts: np.ndarray, names: Sequence[str]) -> list[tuple[str, str, int]]:
    wrong = counts * (1 - np.eye(len(counts), dtype=counts.dtype))
    order = np.argsort(-wrong, axis=None, kind="stable")[:LISTED]
    places = [divmod(int(at), len(counts)) for at in order]
    return [(names[a], names[b], int(wrong[a, b])) for a, b in places if wrong[a, b]]


def _of_masks(protocol: str, result: Mapping[str, Any], redaction: Redaction, total: int) -> Panel | None:
    """The figures of each class of masks, which `result.json` holds with their intervals."""
    by_class: dict[str, dict[str, Interval]] = {}
    for name, metric in (result.get("metrics") or {}).items():
        found, value = class_of(name), Interval.of(metric)
        if name.partition("/")[0] == protocol and found is not None and value is not None:
            by_class.setdefault(found[1], {})[_written(found[0])] = value
    if len(by_class) < 2:
        return None
    shown = _names(tuple(by_class), redaction)
    scores = [ClassScore(name, None, figures) for name, figures in zip(shown, by_class.values(), strict=True)]
    return Panel(protocol, shown, scores=scores, total=total)


def _written(figure: str) -> str:
    return {"dice": "Dice", "iou": "IoU", "hd95": "HD95"}[figure]
