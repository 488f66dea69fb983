"""Checks of whole commands on a domain: a run, its resume, its encoder file, and transfer for every declared task."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

from ssl_platform import api
from ssl_platform import encoder as encoder_files
from ssl_platform.data.table import missing as no_value
from ssl_platform.data.table import read_table
from ssl_platform.data.tasks import KINDS
from ssl_platform.errors import EncoderError
from ssl_platform.opening import sample_set
from ssl_platform.plugins import registry
from ssl_platform.testing.conformance.check import Check, NotApplicable, Violation, checks_of
from ssl_platform.testing.conformance.few import few_items
from ssl_platform.testing.conformance.subject import ITEMS, DomainUnderTest, quietly
from ssl_platform.train import checkpoint
from ssl_platform.weights import read_weights


def checks(domain: DomainUnderTest) -> Iterator[Check]:
    """Checks of one domain's commands."""
    yield from checks_of(
        domain,
        ("run.pretrain", "pretraining with the defaults ends as done, with its files", pretrain),
        ("run.resume", "a run stopped half-way and resumed ends with the same bits", resume),
        (
            "encoder.roundtrip",
            "the encoder file gives the same features when loaded, from the run and from its step",
            roundtrip,
        ),
        ("encoder.refused", "the encoder refuses another domain's data", refused),
        ("embed.items", "embed writes a finite vector for every item", embed),
    )
    for task in domain.kind.tasks:
        if task != "segmentation":
            about = f"probe gives finite metrics for {task}"
            yield Check(f"probe.{task}", domain.subject, about, functools.partial(probe, domain, task))
        if task in KINDS:
            about = f"finetune trains and scores a model for {task}"
            yield Check(f"finetune.{task}", domain.subject, about, functools.partial(finetune, domain, task))


def pretrain(domain: DomainUnderTest) -> str:
    """What a run leaves."""
    path = domain.run
    result = json.loads((path / "result.json").read_text(encoding="utf-8"))
    if result["status"] != "done" or result["steps"] != 4:
        raise Violation(f"the run ended as {result['status']} at step {result['steps']}", f"see {path}/events.log")
    if not abs(float(result["loss"]["last"])) < float("inf"):
        raise Violation(f"the last loss is {result['loss']['last']}", "values reach the loss that are not finite")
    for name in ("config.yaml", "catalog.parquet", "encoder.safetensors", "encoder.json", "report.html", "metrics.csv"):
        if not (path / name).is_file():
            raise Violation(f"the run folder has no {name}", "see events.log in it")
    return f"loss {result['loss']['first']:.3g} to {result['loss']['last']:.3g}"


def resume(domain: DomainUnderTest) -> str:
    """Take the last checkpoint away and go on from the one before."""
    path, again = domain.run, domain.folder / "resumed"
    shutil.copytree(path, again)
    shutil.rmtree(again / "checkpoints" / "00000004")
    result = json.loads((again / "result.json").read_text(encoding="utf-8"))
    (again / "result.json").write_text(json.dumps({**result, "status": "stopped", "steps": 2}), encoding="utf-8")
    words: dict[str, Any] = {"manifest": None, "overrides": {"data.workers": 0}}
    quietly(api.pretrain, run=again, resume=True, **words)
    for name in ("encoder.safetensors",):
        first, second = (read_weights(folder / name, "an encoder")[0] for folder in (path, again))
        differ = [key for key in first if not torch.equal(first[key], second[key])]
        if differ:
            raise Violation(
                f"after resuming, {len(differ)} of {len(first)} tensors differ, e.g. {differ[0]}",
                "reading depends on something kept between calls: everything derives from row, window and key",
            )
    return f"{len(first)} tensors bit-equal"


def roundtrip(domain: DomainUnderTest) -> str:
    """Load, write and load again."""
    loaded = encoder_files.load_encoder(domain.run, domain=domain.name)
    at_step = encoder_files.load_encoder(f"{domain.run}@4")
    written = encoder_files.write(domain.folder / "encoder", loaded.model, loaded.record)
    again = encoder_files.load_encoder(written)
    view = domain.clean
    size = loaded.record.contract.size
    expected: Tensor = loaded(view).pooled
    if not expected.isfinite().all():
        raise Violation("the loaded encoder gives NaN or infinity", "the first layer's statistics are not finite")
    for name, other in (("RUN@4", at_step), ("a file written from it", again)):
        if not torch.equal(expected, other(view).pooled):
            raise Violation(f"{name} gives other features", "a backbone keeps all it needs in parameters and buffers")
    state = checkpoint.read(checkpoint.folder_of(domain.run / "checkpoints", 4))
    if int(state["step"]) != 4:
        raise Violation(f"the checkpoint of step 4 says step {state['step']}", "this is the platform's own: report it")
    return f"{expected.shape[1]} dimensions, input {'x'.join(str(n) for n in size)}"


def refused(domain: DomainUnderTest) -> None:
    """An encoder belongs to its domain."""
    try:
        encoder_files.load_encoder(domain.run, domain=f"not-{domain.name}")
    except EncoderError:
        return
    raise Violation("the encoder takes another domain's data", "this is the platform's own: report it")


def embed(domain: DomainUnderTest) -> str:
    """A table of vectors."""
    out = domain.folder / "items.parquet"
    keys = {"data.workers": 0, "cache.dir": domain.overrides["cache.dir"]}
    quietly(api.embed, encoder=domain.run, out=out, manifest=domain.manifest, overrides=keys)
    table = pq.read_table(out)
    vectors = np.asarray(table.column("vector").to_pylist(), dtype=np.float64)
    if len(vectors) != len(domain.opened.rows):
        raise Violation(
            f"{len(domain.opened.rows)} items gave {len(vectors)} vectors", "cover() gives every item a window"
        )
    if not np.isfinite(vectors).all():
        raise Violation("vectors hold NaN or infinity", "windows of cover() hold no valid cell, or values not finite")
    return f"{len(vectors)} items, {vectors.shape[1]} numbers"


MASKED = 6
"""Items with masks that are used: whole items are segmented."""
LABELS = {"class": "classification", "classes": "multi-label", "number": "regression", "mask": "segmentation"}
"""Kind of task of the labels a task declares."""


def _labelled(domain: DomainUnderTest, task: str) -> Path:
    """A manifest of the few items whose labels make the task; own ones where the sample's are of another kind."""
    if task not in KINDS and registry().task(task).sample:
        own = sample_set(domain.opened.domain, domain.folder, task)
        return few_items(read_table(own), MASKED, name="few")
    kind = task if task in KINDS else LABELS.get(registry().task(task).labels, "classification")
    table = read_table(domain.manifest)
    count, columns = len(table), table.columns
    labels = [value for value in columns.get("label", []) if not no_value(value)]
    if kind == "segmentation":
        if not any(not no_value(value) for value in columns.get("mask", [])):
            raise NotApplicable("the sample set has no masks: write a column 'mask'")
        extra = {"label": [""] * count} if "label" in columns else {}
    elif kind == "classification":
        extra = {} if len(set(labels)) > 1 else {"label": ["one" if i % 2 else "two" for i in range(count)]}
    elif kind == "multi-label":
        extra = {"label": [("a|b", "a", "b|c", "c")[i % 4] for i in range(count)]}
    else:
        extra = {"label": [f"{(i * 0.618) % 1:.3f}" for i in range(count)]}
    return few_items(table, MASKED if kind == "segmentation" else ITEMS, extra, name=task)


def _keys(domain: DomainUnderTest) -> dict[str, Any]:
    return {"data.workers": 0, "cache.dir": domain.overrides["cache.dir"], "trainer.accelerator": "cpu"}


def probe(domain: DomainUnderTest, task: str) -> str:
    """The protocol of the task, or the first that fits its labels."""
    fitting = [p.name for p in registry().protocols() if task in p.tasks]
    chosen = next((name for name in ("knn", "linear") if name in fitting), fitting[0] if fitting else None)
    if chosen is None and task in KINDS:
        raise NotApplicable(f"no installed protocol evaluates {task}")
    small = {"probe.steps": 5, "probe.episodes": 4, "probe.ways": 2, "probe.shots": 1, "probe.queries": 1}
    result = quietly(
        api.probe,
        encoder=domain.run,
        manifest=_labelled(domain, task),
        task=task,
        protocol=chosen if task in KINDS else None,
        run=domain.folder / f"probe-{task}",
        overrides={**_keys(domain), **small},
    )
    return _metrics(result)


def finetune(domain: DomainUnderTest, task: str) -> str:
    """A few steps of training for the task."""
    result = quietly(
        api.finetune,
        encoder=domain.run,
        manifest=_labelled(domain, task),
        task=task,
        run=domain.folder / f"finetune-{task}",
        overrides={**_keys(domain), "finetune.steps": 2, "finetune.batch_size": 4, "finetune.overlap": 0.0},
    )
    return _metrics(result)


def _metrics(result: dict[str, Any]) -> str:
    values = {name: metric["value"] for name, metric in result["metrics"].items()}
    if result["status"] != "done" or not values:
        raise Violation(f"it ended as {result['status']} with {len(values)} metrics", "see events.log of the run")
    wrong = [name for name, value in values.items() if not isinstance(value, int | float) or value != value]
    if len(wrong) == len(values):
        raise Violation(f"no metric is a number, e.g. {wrong[0]}", "predictions or labels are not finite")
    name, value = next((n, v) for n, v in values.items() if n not in wrong)
    return f"{name} {value:.3f}"
