"""A finished run's folder without the run: what pages and tables are made of, for tests."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.report import album as albums
from ssl_platform.report.album import Album, EmbeddingMap, Example, Look, Neighbours, Reconstruction, ViewRow

CLASSES = ("benign", "malignant")
HEALTH = ("effective_rank", "spread", "alignment", "uniformity", "teacher_entropy", "teacher_usage", "knn")


def write_run(
    folder: Path,
    *,
    steps: int = 120,
    items: int = 60,
    verdict: str = "healthy",
    sensitive: bool = True,
    names: tuple[str, ...] = (),
    result: dict[str, Any] | None = None,
) -> Path:
    """Write a pretraining run with curves, a history of health, an album and a quarantine list.

    Args:
        folder: made here.
        steps: rows of `metrics.csv`.
        items: on the embedding map.
        verdict: of health.
        sensitive: whether items are people.
        names: of the first items; others are numbered.
        result: further keys of `result.json`.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True)
    untrained = {"effective_rank": 30.0, "spread": 0.3, "alignment": 0.2, "uniformity": -0.5, "knn": 0.4}
    loss = [1.4 * math.exp(-s / 40) + 0.6 + 0.02 * math.sin(7 * s) for s in range(1, steps + 1)]
    _write_metrics(folder / "metrics.csv", loss)
    found = {
        "command": "pretrain",
        "status": "done",
        "steps": steps,
        "seconds": 312.0,
        "samples_per_second": 41.7,
        "loss": {"first": loss[0], "last": loss[-1]},
        "health": {"verdict": verdict, "cause": "effective rank 33 (untrained 30)", "effective_rank": 33.0},
        "quarantined": 2,
        "data_id": "9a57e476423bf853",
        "metrics": {"knn/balanced_accuracy": {"value": 0.71, "ci95": None, "ci_over": None}},
        "baselines": {"untrained": untrained, "knn/balanced_accuracy": {"random": 0.4}},
        "paths": {"run": str(folder)},
        **(result or {}),
    }
    (folder / "result.json").write_text(json.dumps(found), encoding="utf-8")
    (folder / "config.yaml").write_text(
        "command: pretrain\ndomain: medical3d\nseed: 3\nobjective:\n  name: mae\n  mask_ratio: 0.75\nbackbone:\n"
        "  name: vit-pico\ndata:\n  paths: [/data/hospital/scans, /data/hospital/anna_schmidt.nii.gz]\n"
        "  batch_size: 16\n  window: null\n  sources: {/data/hospital/anna_schmidt.nii.gz: 2.0}\noptim:\n  lr: 0.001\n",
        encoding="utf-8",
    )
    (folder / "methods.txt").write_text("We pretrained.\n\nValues:\n- optim.lr=0.001 (steady)\n", encoding="utf-8")
    (folder / "CITATION.bib").write_text("@article{mae,\n  title = {Masked}\n}\n", encoding="utf-8")
    (folder / "environment.json").write_text(json.dumps({"python": "3.11.7", "packages": {"torch": "2.15"}}))
    command = "ssl-platform pretrain --domain medical3d --data /data/hospital/anna_schmidt.nii.gz optim.lr=0.001\n"
    (folder / "command.txt").write_text(command, encoding="utf-8")
    with (folder / "quarantine.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = [
            ("path", "reason"),
            ("/data/hospital/otto_kern.nii.gz", "otto_kern.nii.gz: truncated"),
            ("b.nii", "empty"),
        ]
        csv.writer(stream).writerows(rows)
    albums.save(album(items, sensitive=sensitive, names=names), folder)
    return folder


def _write_metrics(path: Path, loss: list[float]) -> None:
    columns = ["step", "loss", "lr", "grad_norm", "samples_per_second", "data_wait", "loss/a", "loss/b"]
    columns += [f"health/{name}" for name in HEALTH]
    every = max(1, len(loss) // 8)
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        table.writeheader()
        for step, value in enumerate(loss, 1):
            lr = 1e-3 * (1 + math.cos(math.pi * step / len(loss))) / 2
            row: dict[str, Any] = {"step": step, "loss": value, "lr": lr, "grad_norm": 1 / step, "data_wait": 0.02}
            table.writerow(row | {"samples_per_second": 40 + step % 3, "loss/a": value / 3, "loss/b": value / 1.5})
            if step % every == 0:
                looks = (33.0, 0.4, 0.3, -1.2, 0.6, 0.9, 0.7)
                table.writerow({"step": step} | {f"health/{n}": v for n, v in zip(HEALTH, looks, strict=True)})


def album(items: int, *, sensitive: bool = True, names: tuple[str, ...] = (), evaluated: bool = False) -> Album:
    """Pictures of noise, and two clusters of items; of an evaluation with examples."""
    rng = np.random.default_rng(0)

    def picture(*shape: int) -> np.ndarray:
        return rng.integers(0, 256, shape, dtype=np.uint8)

    ids = [names[i] if i < len(names) else f"item{i:03d}" for i in range(items)]
    target = np.arange(items) % 2
    places = np.clip(rng.normal(0.35 + 0.3 * target[:, None], 0.08, (items, 2)), 0, 1).astype(np.float32)
    visible = np.concatenate([picture(24, 72, 1), np.where(picture(24, 72, 1) > 128, 255, 0).astype(np.uint8)], axis=2)
    return Album(
        facts={
            "domain": "medical3d",
            "family": "masked",
            "sensitive": sensitive,
            "step": 120,
            "items": items,
            "parameters": 859136,
            "trivial": 1.0,
            "mask_ratio": 0.75,
        },
        views=[ViewRow(ids[i], [("as read", picture(24, 72)), ("global", picture(24, 72, 3))]) for i in range(3)],
        reconstructions=[Reconstruction(ids[i], picture(24, 72), visible, picture(24, 72), 0.8) for i in range(2)],
        looks=[Look(item, picture(24, 24), picture(24, 24, 3), 0.31) for item in ids[:2]],
        examples=[
            Example(item, [("item", picture(24, 30))], CLASSES[i % 2], CLASSES[0], i % 2 == 0, 0.9)
            for i, item in enumerate(ids[: 4 * evaluated])
        ],
        embedding=EmbeddingMap(
            places=places,
            items=ids,
            target=np.where(np.arange(items) < items - 3, target, -1).astype(np.float64),
            classes=CLASSES,
            method="tsne",
            total=items,
            thumbnails={i: picture(24, 24) for i in range(min(items, 40))},
            neighbours=[Neighbours(i, [i + 2, i + 4, i + 1], [0.99, 0.98, 0.9]) for i in range(3)],
            agreement=0.8,
            chance=0.5,
        ),
    )
