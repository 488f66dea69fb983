"""A downstream task: what is predicted, and with which head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["classification", "multi-label", "regression", "segmentation"]


@dataclass(frozen=True)
class Task:
    """What is predicted.

    Attributes:
        kind: decides head, loss and metrics.
        classes: class or label names in order (natural order unless given); empty for regression.
        positive: positive class for AUC, or None.
        ignore: mask value that counts nowhere (segmentation).
        target: name of the label column.
    """

    kind: Kind
    classes: tuple[str, ...] = ()
    positive: str | None = None
    ignore: int = 255
    target: str = "label"

    @property
    def outputs(self) -> int:
        """Numbers the head puts out for an item (or a cell)."""
        return 1 if self.kind == "regression" else len(self.classes)

    @property
    def positive_index(self) -> int | None:
        """Index of the positive class, or None."""
        return self.classes.index(self.positive) if self.positive in self.classes else None
