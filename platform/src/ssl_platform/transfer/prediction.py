"""One pass of a finetuned model over data: of whole items a row each, of their cells a file each."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from ssl_platform.config.schema import RunConfig
from ssl_platform.data.progress import Bar
from ssl_platform.errors import DataError, RunFailed, Unreadable
from ssl_platform.opening import OpenData
from ssl_platform.transfer.dense_evaluation import dense_answer, foreground, item_metrics, segment
from ssl_platform.transfer.evaluation import together
from ssl_platform.transfer.fitting import reader_processes
from ssl_platform.transfer.item_evaluation import item_predictions
from ssl_platform.transfer.masks import MaskedDomain, mask_paths
from ssl_platform.transfer.metrics import metrics_of
from ssl_platform.transfer.model import ModelRecord, TransferModel
from ssl_platform.transfer.opening import clean_maker
from ssl_platform.transfer.protocols.answer import Answer
from ssl_platform.transfer.units import by_unit
from ssl_platform.types import Metric


@dataclass
class Predicted:
    """What was predicted.

    Attributes:
        header: columns of `predictions.csv` after `id`.
        rows: one a read item: id and its cells.
        metrics: of the labelled items.
        failures: a line for each item that could not be read.
    """

    header: list[str]
    rows: list[list[str]] = field(default_factory=list)
    metrics: dict[str, Metric] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


@dataclass
class Session:
    """One pass of a model over the data.

    Attributes:
        config: resolved.
        model: on the device.
        record: of the model.
        data: opened.
        device: to compute on.
    """

    config: RunConfig
    model: TransferModel
    record: ModelRecord
    data: OpenData
    device: torch.device

    @property
    def window(self) -> tuple[int, ...]:
        """Cells read along each axis."""
        return tuple(self.record.encoder.backbone.size)

    def items(self) -> Predicted:
        """Predictions of whole items."""
        data, task = self.data, self.record.task
        rows = np.arange(len(data.catalog))
        with Bar("predict", sys.stderr) as bar:
            found = item_predictions(
                self.model,
                clean_maker(self.config, data, self.window),
                data.catalog,
                data.domain,
                self.window,
                rows,
                device=self.device,
                workers=reader_processes(self.config),
                progress=bar,
            )
        known = data.facts.layout is not None
        names = list(task.classes)
        grouped = known and list(data.facts.group) != list(data.facts.id)
        out = Predicted(["prediction", *(["target"] if known else []), *(["group"] if grouped else []), *names])
        out.failures = [f"{failure.failed}: {failure.reason}" for failure in found.failures]
        labels = dict(zip(data.facts.row.tolist(), data.facts.label, strict=True))
        groups = dict(zip(data.facts.row.tolist(), data.facts.group, strict=True))
        for row, score in zip(found.rows.tolist(), found.score, strict=True):
            cells = [self._said(score), *([labels.get(row, "")] if known else [])]
            cells += [groups.get(row, "")] if grouped else []
            cells += [f"{s:.6g}" for s in np.atleast_1d(score)] if names else []
            out.rows.append([data.catalog.row(row).id, *cells])
        if known:
            out.metrics = self._score(found.rows, found.score)
        return out

    def _said(self, score: np.ndarray) -> str:
        task = self.record.task
        if task.kind == "classification":
            return task.classes[int(score.argmax())]
        if task.kind == "multi-label":
            return "|".join(name for name, s in zip(task.classes, score, strict=True) if s >= 0.5)
        return f"{float(score):.6g}"

    def _score(self, rows: np.ndarray, score: np.ndarray) -> dict[str, Metric]:
        """Metrics of the labelled items that could be read."""
        facts, task = self.data.facts, self.record.task
        place = {int(row): i for i, row in enumerate(rows)}
        kept = [int(e) for e in np.flatnonzero(facts.labelled) if int(facts.row[e]) in place]
        if not kept:
            return {}
        target = facts.target[kept]
        if task.classes and facts.layout is not None:
            target = _renumbered(target, facts.layout.classes, task.classes)
        chosen = score[[place[int(facts.row[e])] for e in kept]]
        groups = [facts.group[e] for e in kept]
        answer = by_unit(Answer(target, chosen, groups, [facts.id[e] for e in kept]), self.config.labels.unit)
        return together([answer], metrics_of(task.kind, task.positive_index)).metrics

    def dense(self, folder: Path) -> Predicted:
        """Predictions of every cell, a file an item."""
        data, record = self.data, self.record
        masks = mask_paths(data.facts, data.catalog.column("id"))
        resample = self.config.labels.resample is not None
        masked = MaskedDomain(data.domain, masks, record.values, resample) if masks else None
        scored = foreground(record.task.classes, record.values, data.domain.layout.points)
        groups = {int(row): group for row, group in zip(data.facts.row, data.facts.group, strict=True)}
        names: dict[str, None] = {}
        tables: list[tuple[str, str, dict[str, float]]] = []
        out = Predicted(["file"])
        members: list[str] = []
        with Bar("predict", sys.stderr) as bar:
            for number in range(len(data.catalog)):
                row = data.catalog.row(number)
                try:
                    written, metrics = self._one(folder, number, masked, scored)
                except Unreadable as error:
                    out.failures.append(f"{row.id}: {error.why}")
                    continue
                tables.append((row.id, written, metrics))
                names |= dict.fromkeys(metrics)
                if metrics:
                    members.append(groups.get(number, row.id))
                bar(number + 1, len(data.catalog))
        if not tables:
            raise RunFailed(f"no item could be read: {out.failures[0]}")
        out.header += names
        for item, written, metrics in tables:
            out.rows.append(
                [item, written, *("" if np.isnan(v := metrics.get(n, np.nan)) else f"{v:.6g}" for n in names)]
            )
        if members:
            measured = [(item, metrics) for item, _, metrics in tables if metrics]
            ids, figures = [item for item, _ in measured], [metrics for _, metrics in measured]
            out.metrics = together([dense_answer(figures, members, ids)], {}).metrics
        return out

    def _one(
        self, folder: Path, number: int, masked: MaskedDomain | None, scored: dict[int, str]
    ) -> tuple[str, dict[str, float]]:
        """Predict, write and, with a mask, score one item."""
        data, record = self.data, self.record
        row, domain = data.catalog.row(number), data.domain
        maker = clean_maker(self.config, data, self.window)
        classes = segment(
            self.model,
            maker,
            domain,
            row,
            self.window,
            device=self.device,
            channels=data.catalog.channels if domain.layout.ragged_channels else (),
            overlap=self.config.finetune.overlap,
        )
        path = folder / safe_name(row.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        before = {entry.name for entry in path.parent.iterdir()}
        values = np.asarray(record.values)
        small = np.int16 if np.abs(values).max() < 2**15 else np.int32
        written = domain.write_prediction(row, values.astype(small)[classes], path)
        if written.name in before:
            raise DataError(
                f"{row.id}: its prediction took the name of another item's ({written.name}); predict it apart"
            )
        metrics: dict[str, float] = {}
        if masked is not None and row.id in masked.masks:
            target = masked.target(row)
            metrics = item_metrics(domain, target, classes, row.spacing, scored)
        return str(written.relative_to(folder)), metrics


def safe_name(item: str) -> PurePosixPath:
    """A relative path made of an item's id, which stays inside the folder it is written to."""
    parts = PurePosixPath(item.replace("\\", "/").replace("#", "_").replace(":", "_")).parts
    kept = [part for part in parts if part not in ("/", "..", ".")]
    return PurePosixPath(*(kept or ["item"]))


def _renumbered(target: np.ndarray, theirs: tuple[str, ...], ours: tuple[str, ...]) -> np.ndarray:
    """Targets of classes `theirs` (`[n]`, or `[n, K]` 0/1) as those of `ours`."""
    at = np.array([ours.index(name) for name in theirs])
    if target.ndim == 1:
        return np.asarray(at[target])
    out = np.full((len(target), len(ours)), np.nan, dtype=target.dtype)
    out[:, at] = target
    return out
