"""The test items behind a stored figure, so that two evaluations can be compared item by item."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.transfer.dense_evaluation import BOTH, EITHER, pooled_overlap
from ssl_platform.transfer.metrics import metrics_of
from ssl_platform.transfer.protocols.answer import Function, mean_of_column
from ssl_platform.transfer.repeats import Items
from ssl_platform.transfer.stored_predictions import PREFIX, Predictions, read_predictions

_ROUNDED = 1e-3
"""A figure taken again from stored predictions, which have six digits, may differ by this part of itself."""


class StoredItems:
    """The predictions of one evaluation.

    Args:
        folder: of the run.
        result: its `result.json`.
        config: its `config.yaml`.
        prefix: whose predictions: the encoder's, or random weights'.
    """

    def __init__(
        self, folder: Path, result: Mapping[str, Any], config: Mapping[str, Any], prefix: str = PREFIX
    ) -> None:
        self.folder, self.kind, self.prefix = folder, str(result.get("task") or ""), prefix
        labels = config.get("labels")
        self.positive = labels.get("positive") if isinstance(labels, Mapping) else None
        self._read: dict[str, Predictions | None] = {}

    def of(self, metric: str, value: float) -> Items | None:
        """The items behind `protocol/metric`.

        Args:
            metric: name.
            value: as stored: where the predictions do not give it again they are not what it was taken from.
        """
        protocol, _, name = metric.partition("/")
        if protocol not in self._read:
            self._read[protocol] = read_predictions(self.folder, protocol, self.kind, self.prefix)
        found = self._read[protocol]
        function = None if found is None else self._function(found, name)
        if found is None or function is None:
            return None
        again = function(found.target, found.score)
        close = abs(again - value) <= _ROUNDED * max(1e-3, abs(value))
        return Items(found.target, found.score, found.ids, found.groups, function) if close else None

    def _function(self, found: Predictions, name: str) -> Function | None:
        if not found.columns:
            positive = found.classes.index(self.positive) if self.positive in found.classes else None
            return metrics_of(found.kind, positive).get(name)
        if name in found.columns:
            return mean_of_column(found.columns.index(name))
        return _overlap(found.columns, name)


def _overlap(columns: tuple[str, ...], name: str) -> Callable[[np.ndarray, np.ndarray], float] | None:
    """`miou` and `iou_CLASS` of the cells counted in each item."""
    pairs = {c.removeprefix(BOTH): (i, columns.index(EITHER + c.removeprefix(BOTH)))
             for i, c in enumerate(columns) if c.startswith(BOTH)}  # fmt: skip
    if name == "miou" and pairs:
        return pooled_overlap(list(pairs.values()))
    pair = pairs.get(name.removeprefix("iou_"))
    return pooled_overlap([pair]) if name.startswith("iou_") and pair else None
