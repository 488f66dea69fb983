"""`predict`: a finetuned model on data, in the source's own geometry, scored where there are labels."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from ssl_platform.config.schema import RunConfig
from ssl_platform.data.leaks import pretraining_overlap
from ssl_platform.data.progress import Bar
from ssl_platform.encoder import salted
from ssl_platform.errors import DataError, EncoderError, LabelError, RunFailed, Unreadable, UsageError
from ssl_platform.opening import OpenData, open_data
from ssl_platform.transfer.dense_evaluation import dense_answer, foreground, item_metrics, segment
from ssl_platform.transfer.evaluation import as_result, line_of, together
from ssl_platform.transfer.fitting import reader_processes
from ssl_platform.transfer.intervals import over_groups
from ssl_platform.transfer.item_evaluation import item_predictions
from ssl_platform.transfer.masks import MaskedDomain, mask_paths
from ssl_platform.transfer.metrics import metrics_of
from ssl_platform.transfer.model import ModelRecord, TransferModel, load_model
from ssl_platform.transfer.opening import clean_maker, device_of, follow
from ssl_platform.transfer.running import running
from ssl_platform.types import Metric

TABLE = "predictions.csv"


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


def predict(config: RunConfig, model: str, out: Path) -> dict[str, Any]:
    """Apply a model of `finetune` and write what it says: a table, and a file an item for segmentation.

    Args:
        config: names the data, and labels to score with. Data settings the encoder was trained with are taken over.
        model: run of `finetune` or its `model.safetensors`.
        out: empty or new folder.

    Returns:
        What `result.json` in `out` holds; metrics are named `predict/metric`.

    Raises:
        UsageError: model, data or labels cannot be used.
    """
    network, record = load_model(model)
    if config.domain not in (None, record.encoder.domain):
        raise EncoderError(
            f"--model {model}: a model of domain {record.encoder.domain!r}, the data is {config.domain!r}"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"--out {out}: exists and is not an empty folder; choose another")
    follow(config, record.encoder)
    labelled = config.labels.source is not None or config.data.manifest is not None
    if config.task is None and labelled:
        config.resolve("task", record.task.kind, "the model's")
    data = open_data(config, out=sys.stderr)
    _check(model, record, data)
    with running("predict", config, out=out) as folder:
        split_lines = set(data.splits.notes)  # nothing is split here
        for line in data.lines:
            if line not in split_lines:
                folder.say(line)
        device = device_of(config)
        session = Session(config, network.to(device).eval(), record, data, device)
        dense = record.task.kind == "segmentation"
        found = session.dense(out) if dense else session.items()
        _write(out / TABLE, found)
        for line in found.failures[:5]:
            folder.say(f"not read: {line}")
        metrics = {f"predict/{name}": metric for name, metric in found.metrics.items()}
        if metrics:
            folder.say(_seen(record, data))
        for name, metric in metrics.items():
            folder.say(line_of(name, metric))
        folder.say(f"predictions of {len(found.rows)} items in {out / TABLE}")
        folder.update(
            metrics=as_result(metrics),
            model=str(model),
            task=record.task.kind,
            items=len(found.rows),
            quarantined=len(data.quarantined) + len(found.failures),
            data_id=data.catalog.id,
            paths={"run": str(out), "predictions": str(out / TABLE)},
        )
    return folder.result


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
        out = Predicted(["prediction", *(["target"] if known else []), *names])
        out.failures = [f"{failure.failed}: {failure.reason}" for failure in found.failures]
        labels = dict(zip(data.facts.row.tolist(), data.facts.label, strict=True))
        for row, score in zip(found.rows.tolist(), found.score, strict=True):
            cells = [self._said(score), *([labels.get(row, "")] if known else [])]
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
        return {
            name: over_groups(metric, target, chosen, groups)
            for name, metric in metrics_of(task.kind, task.positive_index).items()
        }

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


def _check(model: str, record: ModelRecord, data: OpenData) -> None:
    """Refuse input or labels the model cannot take.

    Raises:
        EncoderError: channels differ.
        LabelError: the labels are of another task, or name classes the model does not have.
    """
    contract, row = record.encoder.contract, data.catalog.row(0)
    if not data.domain.layout.ragged_channels and tuple(row.channels) != contract.channels:
        raise EncoderError(
            f"--model {model}: was trained on channels {list(contract.channels)}, the data has {list(row.channels)}"
        )
    layout = data.facts.layout
    if layout is None:
        return
    if layout.kind != record.task.kind:
        raise LabelError(f"--labels: they are of {layout.kind}, and --model {model} does {record.task.kind}")
    if layout.kind == "segmentation":
        odd: Iterable[Any] = [value for value in layout.values if value not in record.values]
        known: Iterable[Any] = record.values
    else:
        odd, known = [name for name in layout.classes if name not in record.task.classes], record.task.classes
    for name in odd:
        raise LabelError(f"--labels: class {name!r} is not among the model's: {', '.join(map(str, known))}")


def _renumbered(target: np.ndarray, theirs: tuple[str, ...], ours: tuple[str, ...]) -> np.ndarray:
    """Targets of classes `theirs` (`[n]`, or `[n, K]` 0/1) as those of `ours`."""
    at = np.array([ours.index(name) for name in theirs])
    if target.ndim == 1:
        return np.asarray(at[target])
    out = np.full((len(target), len(ours)), np.nan, dtype=target.dtype)
    out[:, at] = target
    return out


def _seen(record: ModelRecord, data: OpenData) -> str:
    """How many scored items the model was trained on."""
    facts = data.facts
    prints = [data.catalog.row(int(i)).fingerprint for i in np.unique(facts.row[facts.labelled])]
    salt, items = record.training.get("salt"), set(record.training.get("items", ()))
    if not items:
        return pretraining_overlap(prints, None)[1]
    seen = sum(salted(str(salt), print_) in items for print_ in prints)
    return f"{seen} of {len(prints)} scored items were among the model's training items"


def _write(path: Path, found: Predicted) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", *found.header])
        writer.writerows(found.rows)
