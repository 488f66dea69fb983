"""`probe`: what a frozen encoder's features are worth, beside the same with random weights."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.config.schema import RunConfig
from ssl_platform.encoder import Encoder
from ssl_platform.plugins import registry
from ssl_platform.train.atomic import write_json
from ssl_platform.train.run import RunFolder
from ssl_platform.transfer.evaluation import Outcome, as_result, check_fit, evaluate, line_of, protocol, used_rows
from ssl_platform.transfer.features import ItemFeatures
from ssl_platform.transfer.forms import embed_forms
from ssl_platform.transfer.metrics import metrics_of
from ssl_platform.transfer.opening import RANDOM, Opened, open_transfer, untrained_like
from ssl_platform.transfer.running import AtEnd, running
from ssl_platform.transfer.stored_predictions import PREFIX, RANDOM_PREFIX
from ssl_platform.transfer.task import Task
from ssl_platform.transfer.utility import Curve, curve_of, curve_of_runs, with_utility

DEFAULT = ("knn", "linear")
UTILITY = "label-utility"


def probe(config: RunConfig, *, at_end: AtEnd | None = None) -> dict[str, Any]:
    """Evaluate an encoder under protocols that do not change it.

    Args:
        config: names encoder, data, labels and protocols.
        at_end: called when everything is written, while the data is at hand.

    Returns:
        What `result.json` holds; metrics are named `protocol/metric`, the baseline is the same architecture with random
        weights.

    Raises:
        UsageError: found before anything is computed.
    """
    names = protocols_of(config)
    opened = open_transfer(config, labels=asks_for_labels(config))
    for name in names:
        check_fit(name, opened.kind, opened.encoder.model.offers)
    scratch = curve_from_scratch(opened) if UTILITY in names else None
    with running("probe", config) as folder:
        for line in [*opened.lines, opened.overlap()]:
            folder.say(line)
        opened.data.write(folder.path, opened.codes)
        found = measure(opened, opened.encoder, names, "embed")
        beside = {}
        if config.encoder != RANDOM:
            untrained = untrained_like(opened.encoder, config.seed)
            beside["random"] = measure(opened, untrained, names, "embed, random weights")
        if UTILITY in found and (scratch or beside):
            scratch = scratch or curve_of(beside["random"][UTILITY], "random weights, frozen")
            found[UTILITY] = with_utility(found[UTILITY], scratch, config.seed)
        record(folder, opened, found, beside)
        if at_end is not None:
            at_end(folder, opened)
    return folder.result


def curve_from_scratch(opened: Opened) -> Curve | None:
    """What labels are worth without pretraining, by the runs of `probe.scratch`; None where it names none.

    Raises:
        ConfigError: a run cannot be used.
    """
    runs = opened.config.probe.scratch
    ids = {"data_id": opened.data.catalog.id, "split_id": opened.data.splits.id or None}
    metric = next(iter(metrics_of(opened.task.kind)))
    return curve_of_runs(runs, metric, ids) if runs else None


def protocols_of(config: RunConfig) -> tuple[str, ...]:
    """The protocols asked for by `--protocol`, else those of `--task`, else `DEFAULT`.

    Raises:
        PluginError: there is no such protocol or task; the nearest is named.
    """
    asked = () if config.task is None else registry().task(config.task).protocols
    for name in config.protocol:
        protocol(name)
    return tuple(config.protocol) or asked or DEFAULT


def asks_for_labels(config: RunConfig) -> bool:
    """Whether a protocol that was asked for needs labels."""
    return any("none" not in protocol(name).tasks for name in protocols_of(config))


def measure(opened: Opened, encoder: Encoder, names: Sequence[str], title: str) -> dict[str, Outcome]:
    """Outcome of each protocol for one encoder."""
    features = embed_labelled(opened, encoder, names, title)
    return {name: evaluate(name, opened, encoder, features) for name in names}


def embed_labelled(opened: Opened, encoder: Encoder, names: Sequence[str], title: str) -> dict[str, ItemFeatures]:
    """Features of every item that takes part, in the forms the protocols ask for."""
    forms = {protocol(name).features for name in names} - {"encoder"}
    return embed_forms(opened, encoder, forms, used_rows(opened.data.facts, opened.codes), title)


def record(
    folder: RunFolder, opened: Opened, found: dict[str, Outcome], baselines: dict[str, dict[str, Outcome]]
) -> None:
    """Write metrics, baselines and predictions, and say them."""
    metrics = {f"{name}/{metric}": m for name, outcome in found.items() for metric, m in outcome.metrics.items()}
    beside: dict[str, dict[str, Any]] = {}
    for name, metric in metrics.items():
        first, _, last = name.partition("/")
        others = [(word, o[first].metrics[last]) for word, o in baselines.items() if last in o[first].metrics]
        folder.say(line_of(name, metric, others))
        beside[name] = {word: as_result({name: m})[name] for word, m in others}
    for name, outcome in found.items():
        write_predictions(folder.file(f"{PREFIX}{name}.csv"), outcome, None if outcome.columns else opened.task)
        for file, rounds in outcome.files.items():
            write_json(folder.file(f"{file}_{name}.json"), {"rounds": list(rounds)})
    for name, outcome in baselines.get("random", {}).items():
        write_predictions(folder.file(f"{RANDOM_PREFIX}{name}.csv"), outcome, None if outcome.columns else opened.task)
    for line in opened.left_out():
        folder.say(line)
    folder.update(
        metrics=as_result(metrics),
        baselines=beside,
        details={name: outcome.details for name, outcome in found.items()},
        paths={"run": str(folder.path)},
        **opened.about(),
    )


def write_predictions(path: Path, outcome: Outcome, task: Task | None) -> None:
    """One row a test item: id, target and scores, or its figures where a protocol predicts nothing (task None)."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        scores = outcome.score.reshape(len(outcome.ids), -1)
        if outcome.columns:
            writer.writerow(["id", *outcome.columns])
            writer.writerows(
                [item, *("" if np.isnan(s) else f"{s:.6g}" for s in score)]
                for item, score in zip(outcome.ids, scores, strict=True)
            )
            return
        assert task is not None
        names = task.classes or ("value",)
        writer.writerow(["id", "target", *names])
        for item, target, score in zip(outcome.ids, outcome.target, scores, strict=True):
            if task.kind == "multi-label":
                known = "|".join(c for c, t in zip(task.classes, target, strict=True) if t == 1)
            else:
                known = task.classes[int(target)] if task.classes else f"{float(target):.6g}"
            writer.writerow([item, known, *(f"{s:.6g}" for s in score)])
