"""`probe`: what a frozen encoder's features are worth, beside the same with random weights."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

from ssl_platform.config.schema import RunConfig
from ssl_platform.data.progress import Bar
from ssl_platform.encoder import Encoder
from ssl_platform.errors import ConfigError
from ssl_platform.train.run import RunFolder
from ssl_platform.transfer.evaluation import Outcome, as_result, evaluate, line_of, protocol, used_rows
from ssl_platform.transfer.features import ItemFeatures, item_features
from ssl_platform.transfer.opening import RANDOM, Opened, device_of, open_transfer, untrained_like
from ssl_platform.transfer.running import running
from ssl_platform.transfer.task import Task

DEFAULT = ("knn", "linear")


def probe(config: RunConfig) -> dict[str, Any]:
    """Evaluate an encoder under protocols that do not change it.

    Args:
        config: names encoder, data, labels and protocols.

    Returns:
        What `result.json` holds; metrics are named `protocol/metric`, the baseline is the same architecture with random
        weights.

    Raises:
        UsageError: found before anything is computed.
    """
    names = tuple(config.protocol) or DEFAULT
    for name in names:
        protocol(name)
    opened = open_transfer(config)
    if opened.task.kind == "segmentation":
        raise ConfigError("probe compares labels of whole items, and these are masks: use finetune (or --task)")
    with running("probe", config) as folder:
        for line in [*opened.lines, opened.overlap()]:
            folder.say(line)
        opened.data.write(folder.path, opened.codes)
        found = measure(opened, opened.encoder, names, "embed")
        baseline = measure(opened, untrained_like(opened.encoder, config.seed), names, "embed, random weights")
        record(folder, opened, found, {} if config.encoder == RANDOM else {"random": baseline})
    return folder.result


def measure(opened: Opened, encoder: Encoder, names: tuple[str, ...], title: str) -> dict[str, Outcome]:
    """Outcome of each protocol for one encoder."""
    features = embed_labelled(opened, encoder, title)
    facts, task = opened.data.facts, opened.task
    return {name: evaluate(name, facts, opened.codes, features, task) for name in names}


def embed_labelled(opened: Opened, encoder: Encoder, title: str) -> ItemFeatures:
    """Features of every item that takes part."""
    data = opened.data
    encoder.to(device_of(opened.config))
    with Bar(title, sys.stderr) as bar:
        found = item_features(
            encoder,
            opened.maker,
            data.catalog,
            data.domain,
            opened.window,
            used_rows(data.facts, opened.codes),
            progress=bar,
        )
    opened.unread |= {failure.failed: failure.reason for failure in found.failures}
    return found


def record(
    folder: RunFolder, opened: Opened, found: dict[str, Outcome], baselines: dict[str, dict[str, Outcome]]
) -> None:
    """Write metrics, baselines and predictions, and say them."""
    metrics = {f"{name}/{metric}": m for name, outcome in found.items() for metric, m in outcome.metrics.items()}
    beside: dict[str, dict[str, Any]] = {}
    for name, metric in metrics.items():
        first, last = name.split("/")
        others = [(word, outcomes[first].metrics[last]) for word, outcomes in baselines.items()]
        folder.say(line_of(name, metric, others))
        beside[name] = {word: as_result({name: m})[name] for word, m in others}
    for name, outcome in found.items():
        write_predictions(folder.file(f"predictions_{name}.csv"), outcome, opened.task)
    for line in opened.left_out():
        folder.say(line)
    folder.update(
        metrics=as_result(metrics),
        baselines=beside,
        details={name: outcome.details for name, outcome in found.items()},
        paths={"run": str(folder.path)},
        **opened.about(),
    )


def write_predictions(path: Path, outcome: Outcome, task: Task) -> None:
    """One row a test item: id, target and scores."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        names = task.classes or ("value",)
        writer.writerow(["id", "target", *names])
        scores = outcome.score.reshape(len(outcome.ids), -1)
        for item, target, score in zip(outcome.ids, outcome.target, scores, strict=True):
            if task.kind == "multi-label":
                known = "|".join(c for c, t in zip(task.classes, target, strict=True) if t == 1)
            else:
                known = task.classes[int(target)] if task.classes else f"{float(target):.6g}"
            writer.writerow([item, known, *(f"{s:.6g}" for s in score)])
