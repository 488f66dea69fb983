"""A finished evaluation's folder without the evaluation: what comparisons and pages are made of, for tests."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.transfer.intervals import over_groups
from ssl_platform.transfer.metrics import metrics_of

CLASSES = ("rise", "fall", "arch", "dip")
ITEMS = 60


def write_evaluation(
    folder: Path,
    *,
    skill: float = 1.5,
    seed: int = 0,
    encoder: str | Path = "random",
    command: str = "probe",
    protocol: str = "knn",
    random: float | None = None,
    items: int = ITEMS,
    result: Mapping[str, Any] | None = None,
) -> Path:
    """Write a run of `probe` or `finetune` on 60 test items of four classes, two of each group.

    Args:
        folder: made where it is missing; a further protocol is added to what is there.
        skill: how much larger the score of the true class is, in standard deviations.
        seed: of the scores, and of the evaluation.
        encoder: as `--encoder`; a folder is written as a pretraining run of that name where it is missing.
        command: `probe` or `finetune`.
        protocol: of the probe.
        random: figure of every metric under random weights; None where nobody took it.
        items: tested.
        result: further keys of `result.json`.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    protocol = "finetune" if command == "finetune" else protocol
    target = np.random.default_rng(0).integers(0, len(CLASSES), items)
    draws = np.random.default_rng([seed, round(100 * skill)])
    logits = draws.normal(size=(items, len(CLASSES))) + skill * np.eye(len(CLASSES))[target]
    score = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    groups = [f"group{i // 2}" for i in range(items)]
    metrics, beside = {}, {}
    for name, function in metrics_of("classification").items():
        found = over_groups(function, target, score, groups, 50)
        metrics[f"{protocol}/{name}"] = {"value": found.value, "ci95": found.ci95, "ci_over": "groups"}
        if random is not None:
            beside[f"{protocol}/{name}"] = {"random": {"value": random, "ci95": None, "ci_over": None}}
    path = folder / "result.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"metrics": {}, "baselines": {}}
    told = {
        "command": command,
        "status": "done",
        "task": "classification",
        "encoder": str(encoder),
        "parameters": 859136,
        "seed": seed,
        "seconds": 40.0 + seed,
        "steps": 300 if command == "finetune" else 0,
        "data_id": "9a57e476423bf853",
        "split_id": "51aceb00",
        "labels_unit": "item",
        "overlap": f"0 of {items} test items were in pretraining",
        "metrics": before["metrics"] | metrics,
        "baselines": before["baselines"] | beside,
        "paths": {"run": str(folder)},
        **(result or {}),
    }
    path.write_text(json.dumps(told), encoding="utf-8")
    config = {"command": command, "domain": "audio", "seed": seed, "encoder": str(encoder), "labels": {"draw": 0}}
    (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    _write(folder / f"predictions_{protocol}.csv", ["id", "target", *CLASSES], [
        [f"item{i:03d}.wav", CLASSES[target[i]], *(f"{v:.6g}" for v in score[i])] for i in range(items)
    ])  # fmt: skip
    rows = [[f"item{i:03d}.wav", "", groups[i], "test"] for i in range(items)]
    _write(folder / "splits.csv", ["id", "window", "group", "split"], rows)
    if encoder != "random":
        _write_pretraining(Path(encoder), seed)
    return folder


def _write(path: Path, head: list[str], rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([head, *rows])


def _write_pretraining(folder: Path, seed: int) -> None:
    if folder.exists():
        return
    folder.mkdir(parents=True)
    method = folder.name.rsplit("-", 1)[0]
    config = {"command": "pretrain", "domain": "audio", "objective": {"name": method}, "seed": seed}
    (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    result = {"command": "pretrain", "status": "done", "steps": 2000, "seconds": 600.0 + seed}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
