"""`predict`: a finetuned model on data, in the source's own geometry, scored where there are labels."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl_platform.config.schema import RunConfig
from ssl_platform.data.leaks import pretraining_overlap
from ssl_platform.data.shards.reopen import prepared_data
from ssl_platform.encoder_record import salted
from ssl_platform.errors import EncoderError, LabelError, UsageError
from ssl_platform.opening import OpenData, open_data
from ssl_platform.transfer.evaluation import as_result, line_of
from ssl_platform.transfer.model import ModelRecord, load_model
from ssl_platform.transfer.opening import check_labels, device_of, follow
from ssl_platform.transfer.prediction import Predicted, Session
from ssl_platform.transfer.running import running
from ssl_platform.transfer.stored_predictions import TABLE

if TYPE_CHECKING:
    from ssl_platform.train.run import RunFolder


def predict(
    config: RunConfig, model: str, out: Path, at_end: Callable[[RunFolder, Session], None] | None = None
) -> dict[str, Any]:
    """Apply a model of `finetune` and write what it says: a table, and a file an item for segmentation.

    Args:
        config: names the data, and labels to score with. Data settings the encoder was trained with are taken over.
        model: run of `finetune` or its `model.safetensors`.
        out: empty or new folder.
        at_end: called when everything is written, while the data is at hand.

    Returns:
        What `result.json` in `out` holds; metrics are named `predict/metric`.

    Raises:
        UsageError: model, data or labels cannot be used.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"--out {out}: exists and is not an empty folder; choose another")
    session = open_session(config, model)
    data, record = session.data, session.record
    with running("predict", config, out=out) as folder:
        split_lines = set(data.splits.notes)  # nothing is split here
        for line in data.lines:
            if line not in split_lines:
                folder.say(line)
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
        if at_end is not None:
            at_end(folder, session)
    return folder.result


def open_session(config: RunConfig, model: str) -> Session:
    """A model on its device, and the data it is applied to, prepared as its encoder was trained.

    Args:
        config: as of `predict`.
        model: run of `finetune` or its `model.safetensors`.

    Raises:
        UsageError: model, data or labels cannot be used.
    """
    network, record = load_model(model)
    if config.domain not in (None, record.encoder.domain):
        raise EncoderError(
            f"--model {model}: a model of domain {record.encoder.domain!r}, the data is {config.domain!r}"
        )
    follow(config, record.encoder)
    labelled = config.labels.source is not None or config.data.manifest is not None
    if config.task is None and (labelled or _brings_labels(config)):
        config.resolve("task", record.task.kind, "the model's")
    data = open_data(config, out=sys.stderr)
    _check(model, record, data)
    check_labels(config, data)
    device = device_of(config)
    return Session(config, network.to(device).eval(), record, data, device)


def _brings_labels(config: RunConfig) -> bool:
    """Whether the data are prepared data with labels or masks."""
    prepared = prepared_data([str(path) for path in config.data.paths])
    claims = None if prepared is None else prepared.claims(labels=True)
    return claims is not None and bool(claims.labels or claims.columns.get("mask"))


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
