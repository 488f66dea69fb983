"""Scores a model in training on the validation items, and at its end once on the test items."""

from __future__ import annotations

import numpy as np
import torch

from ssl_platform.errors import LabelError, RunFailed, Unreadable
from ssl_platform.transfer.dense_evaluation import dense_answer, foreground, item_metrics, segment
from ssl_platform.transfer.evaluation import Outcome, together
from ssl_platform.transfer.fitting import Parts
from ssl_platform.transfer.item_evaluation import item_predictions
from ssl_platform.transfer.masks import MaskedDomain, mask_paths
from ssl_platform.transfer.metrics import mean_absolute_error, mean_known, metrics_of
from ssl_platform.transfer.model import TransferModel
from ssl_platform.transfer.opening import Opened
from ssl_platform.transfer.protocols.answer import Answer, Function
from ssl_platform.transfer.units import by_unit

MOST_VALIDATED = 64  # items looked at to choose weights; the test items are all scored
_VALIDATION_OVERLAP = 0.25


class Scorer:
    """Scores models on the items of one round.

    Args:
        opened: data and clean views.
        parts: its labelled entries.
        device: where models are.

    Attributes:
        masked: the domain with masks, for segmentation; else None.

    Raises:
        LabelError: a mask's class cannot be scored.
    """

    def __init__(self, opened: Opened, parts: Parts, device: torch.device) -> None:
        self.opened, self.parts, self.device = opened, parts, device
        self.task, data = opened.task, opened.data
        self.masked: MaskedDomain | None = None
        self.classes: dict[int, str] = {}
        if self.task.kind == "segmentation":
            assert data.facts.layout is not None
            values = data.facts.layout.values
            if not values:
                raise LabelError("no mask could be read, so there are no classes to segment")
            masks = mask_paths(data.facts, data.catalog.column("id"))
            self.masked = MaskedDomain(data.domain, masks, values, opened.config.labels.resample is not None)
            self.classes = foreground(self.task.classes, values, data.domain.layout.points)

    def validate(self, model: TransferModel) -> float:
        """The value weights are chosen by, on at most 64 of the validation items.

        Accuracy, mean average precision, negative mean absolute error or mean Dice, by task.
        """
        entries = self.parts.validation
        if len(entries) > MOST_VALIDATED:
            entries = entries[np.linspace(0, len(entries) - 1, MOST_VALIDATED).round().astype(int)]
        if self.masked is not None:
            items, _ = self._segmented(model, entries, full=False)
            return mean_known([item["dice"] for item in items])
        target, score, _ = self._predicted(model, entries)
        if self.task.kind == "regression":  # R2 is not defined for one item
            return -mean_absolute_error(target, score)
        return next(iter(self._metrics().values()))(target, score)

    def test(self, model: TransferModel) -> Outcome:
        """Metrics of the test items with intervals over groups."""
        entries = self.parts.test
        if self.masked is not None:
            return self._segmentation(model, entries)
        target, score, kept = self._predicted(model, entries)
        facts = self.parts.facts
        groups = [facts.group[e] for e in kept]
        answer = Answer(target, score, groups, [facts.id[e] for e in kept])
        return together([by_unit(answer, self.opened.config.labels.unit)], self._metrics())

    def _segmentation(self, model: TransferModel, entries: np.ndarray) -> Outcome:
        items, kept = self._segmented(model, entries, full=True)
        facts = self.parts.facts
        answer = dense_answer(items, [facts.group[e] for e in kept], [facts.id[e] for e in kept])
        return together([answer], {})

    def _metrics(self) -> dict[str, Function]:
        return dict(metrics_of(self.task.kind, self.task.positive_index))

    def _predicted(self, model: TransferModel, entries: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[int]]:
        """Targets, scores and the entries that could be read."""
        data, facts = self.opened.data, self.parts.facts
        found = item_predictions(
            model,
            self.opened.maker,
            data.catalog,
            data.domain,
            self.opened.window,
            self.parts.rows(entries),
            device=self.device,
            workers=self.parts.workers,
        )
        self.opened.unread |= {failure.failed: failure.reason for failure in found.failures}
        place = {int(row): i for i, row in enumerate(found.rows)}
        kept = [int(e) for e in entries if int(facts.row[e]) in place]
        if not kept:
            raise RunFailed(f"no item could be read: {found.failures[0].reason}" if found.failures else "no items")
        return facts.target[kept], found.score[[place[int(facts.row[e])] for e in kept]], kept

    def _segmented(
        self, model: TransferModel, entries: np.ndarray, *, full: bool
    ) -> tuple[list[dict[str, float]], list[int]]:
        """Metrics of each item that can be read, and the entries."""
        assert self.masked is not None
        opened, items, kept = self.opened, [], []
        domain, catalog = opened.data.domain, opened.data.catalog
        for entry in entries.tolist():
            row = catalog.row(int(self.parts.facts.row[entry]))
            try:
                prediction = segment(
                    model,
                    opened.maker,
                    domain,
                    row,
                    opened.window,
                    device=self.device,
                    channels=catalog.channels if domain.layout.ragged_channels else (),
                    overlap=opened.config.finetune.overlap if full else _VALIDATION_OVERLAP,
                )
                target = self.masked.target(row)
            except Unreadable as error:
                opened.unread[row.id] = error.why
                continue
            items.append(item_metrics(domain if full else None, target, prediction, row.spacing, self.classes))
            kept.append(int(entry))
        if not items:
            raise RunFailed(f"no item could be read: {next(iter(opened.unread.values()), 'there are none')}")
        return items, kept
