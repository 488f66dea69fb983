"""A model of every task, applied to labelled data it has never seen: its scores are those of its table."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics

from ssl_platform import api
from ssl_platform.cli.main import main
from ssl_platform.report import album as albums
from ssl_platform.transfer.linear_head import LinearHead
from ssl_platform.transfer.model import ModelRecord, TransferModel, write_model
from ssl_platform.transfer.stored_predictions import read_applied
from ssl_platform.transfer.task import Task

Capture = pytest.CaptureFixture[str]
Write = Callable[..., Path]
TASKS = {
    "classification": Task("classification", ("ball", "box", "cone")),
    "multi-label": Task("multi-label", ("dark", "large", "noisy")),
    "regression": Task("regression"),
    "segmentation": Task("segmentation", ("background", "ball")),
}
LABELS: dict[str, list[str]] = {
    "classification": ["box", "ball", "ball", "box", "ball", "box", "box", "ball"],  # none of the third class
    "multi-label": ["dark|large", "noisy", "large", "dark", "dark|noisy", "large|noisy", "dark|large", "noisy"],
    "regression": ["1.5", "2.5", "-3", "0.25", "7", "1", "2", "3.5"],
}


@pytest.fixture
def model(toy_encoder: Write, tmp_path: Path) -> Callable[[str], Path]:
    """`model("regression")` writes a model of a random head, which is as good as its scores say."""
    loaded = api.load_encoder(toy_encoder())

    def write(name: str) -> Path:
        task = TASKS[name]
        torch.manual_seed(1)
        net = TransferModel(loaded.model, task, width=4)
        if isinstance(net.head, LinearHead):
            weights = torch.randn(24, task.outputs), torch.zeros(task.outputs), torch.zeros(24), torch.ones(24)
            net.head.start_at(*weights)
        run = tmp_path / f"run-{name}"
        run.mkdir()
        values = (0, 7) if name == "segmentation" else ()
        write_model(run, net, ModelRecord(loaded.record, task, values=values, width=4))
        return run

    return write


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def elsewhere(folder: Path, labels: list[str]) -> Path:
    """Eight volumes in a folder of their own, and their labels in a table of another name."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    lines = ["path,label"]
    for number, label in enumerate(labels):
        np.save(folder / f"new{number}.npy", (rng.normal(size=(20, 18, 16)) + number / 4).astype(np.float32))
        lines.append(f"new{number}.npy,{label}")
    path = folder.with_suffix(".csv")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def independent(name: str, rows: list[dict[str, str]]) -> dict[str, Any]:
    """The scores of a table by scikit-learn."""
    told, truth = [row["prediction"] for row in rows], [row["target"] for row in rows]
    if name == "classification":
        return {
            "accuracy": metrics.accuracy_score(truth, told),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, told),
        }
    if name == "regression":
        numbers, expected = np.array(told, float), np.array(truth, float)
        return {
            "r2": metrics.r2_score(expected, numbers),
            "mae": metrics.mean_absolute_error(expected, numbers),
        }
    classes = TASKS[name].classes
    scores = np.array([[float(row[c]) for c in classes] for row in rows])
    known = np.array([[c in row["target"].split("|") for c in classes] for row in rows])
    return {"map": metrics.average_precision_score(known, scores, average="macro")}


@pytest.mark.parametrize("name", LABELS)
def test_items_of_an_external_set_are_scored(
    name: str, model: Callable[[str], Path], tmp_path: Path, capsys: Capture
) -> None:
    labels, out = elsewhere(tmp_path / "other", LABELS[name]), tmp_path / "out"
    words = ["predict", "--model", str(model(name)), "--data", str(tmp_path / "other"), "--labels", str(labels)]
    assert main([*words, "--out", str(out)]) == 0
    rows = table(out / "predictions.csv")
    assert [row["target"] for row in rows] == LABELS[name]
    found = json.loads((out / "result.json").read_text())["metrics"]
    expected = independent(name, rows)
    for metric, value in expected.items():
        assert found[f"predict/{metric}"]["value"] == pytest.approx(value, abs=1e-5), metric
        low, high = found[f"predict/{metric}"]["ci95"]
        assert low <= value <= high
    assert f"predict/{next(iter(expected))}" in capsys.readouterr().out
    page = (out / "report.html").read_text(encoding="utf-8")
    shown = {
        "classification": "Confusion matrix",
        "multi-label": "Each class",
        "regression": "True and predicted values",
    }
    assert all(f">{heading}</h" in page for heading in ("Results", "Examples", shown[name]))
    made = albums.load(out)
    assert made is not None and made.missing == [] and len(made.examples) == 8
    if name == "classification":
        true = {row["id"]: (row["target"], row["prediction"]) for row in rows}
        assert {one.item: (one.true, one.predicted) for one in made.examples} == true
        assert [one.right for one in made.examples] == sorted(one.right is True for one in made.examples)


def test_predictions_without_labels_have_a_page(
    model: Callable[[str], Path], toy_masks: Path, tmp_path: Path, capsys: Capture
) -> None:
    """Items and what is said of them, no scores; the pictures are made again when they are asked for."""
    elsewhere(tmp_path / "other", LABELS["classification"])
    for name, data, heading in (
        ("classification", tmp_path / "other", "Examples"),
        ("segmentation", toy_masks.parent / "item*.npy", "Overlays"),
    ):
        out = tmp_path / f"out-{name}"
        words = ["predict", "--model", str(model(name)), "--data", str(data), "--out", str(out)]
        assert main(words) == 0
        assert capsys.readouterr().out.strip().splitlines()[-1] == f"report {out / 'report.html'}"
        page = (out / "report.html").read_text(encoding="utf-8")
        assert f">{heading}</h" in page and "Test items" not in page and "reference" not in page
        assert "true:" not in page and "Confusion matrix" not in page and ">Results</h" not in page
        made = albums.load(out)
        assert made is not None and made.missing == []
        for one in made.examples:
            assert [label for label, _ in one.pictures] == ["item", "prediction"][: len(one.pictures)]
            assert not one.true and one.right is None
        if name == "classification":
            sure = [one.score for one in made.examples]
            assert sure[:6] == sorted(sure[:6]), "the least sure come first"  # type: ignore[type-var]
        shutil.rmtree(out / "report")
        assert main(["report", str(out)]) == 0
        again = albums.load(out)
        assert again is not None and [e.predicted for e in again.examples] == [e.predicted for e in made.examples]


def test_intervals_of_a_page_resample_groups(model: Callable[[str], Path], tmp_path: Path) -> None:
    labels, out = elsewhere(tmp_path / "other", LABELS["classification"]), tmp_path / "out"
    head, *lines = labels.read_text(encoding="utf-8").splitlines()
    grouped = [f"{head},group", *(f"{line},site{k // 4}" for k, line in enumerate(lines))]
    labels.write_text("\n".join(grouped) + "\n", encoding="utf-8")
    words = ["--data", str(tmp_path / "other"), "--labels", str(labels), "--out", str(out)]
    assert main(["predict", "--model", str(model("classification")), *words]) == 0
    found = read_applied(out, "classification")
    assert found is not None and found.groups == [f"site{k // 4}" for k in range(8)]
    assert found.classes == TASKS["classification"].classes and found.score.shape == (8, 3)


def test_cells_of_an_external_set_are_scored(model: Callable[[str], Path], toy_masks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert (
        main(["predict", "--model", str(model("segmentation")), "--manifest", str(toy_masks), "--out", str(out)]) == 0
    )
    dice = []
    for row in table(out / "predictions.csv"):
        told = np.load(out / row["file"]) == 7
        truth = np.load(toy_masks.parent / row["id"].replace("item", "ball")) == 7
        dice.append(2 * (told & truth).sum() / (told.sum() + truth.sum()))
    found = json.loads((out / "result.json").read_text())["metrics"]["predict/dice"]
    assert found["value"] == pytest.approx(np.mean(dice), abs=1e-6)
    assert ">Overlays</h" in (out / "report.html").read_text(encoding="utf-8")
    made = albums.load(out)
    assert made is not None and made.missing == [] and len(made.examples) == 5
    dice_of = {row["id"]: value for row, value in zip(table(out / "predictions.csv"), dice, strict=True)}
    for one in made.examples:
        assert [label for label, _ in one.pictures] == ["item", "reference", "prediction"]
        assert one.score == pytest.approx(dice_of[one.item], abs=1e-6)


def test_labels_that_cannot_be_scored_are_refused(
    model: Callable[[str], Path], tmp_path: Path, capsys: Capture
) -> None:
    run = model("classification")
    labels = elsewhere(tmp_path / "other", LABELS["classification"])
    text = labels.read_text()
    words = ["predict", "--model", str(run), "--data", str(tmp_path / "other"), "--labels", str(labels)]
    for change, said in {
        ("box", "cylinder"): "class 'cylinder' is not among the model's: ball, box, cone",
        ("path,label", "path,kind"): "label",
    }.items():
        labels.write_text(text.replace(*change))
        assert main([*words, "--out", str(tmp_path / "out")]) == 2
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert line.startswith("error: ") and said in line
    weights = run / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    assert "truncated or not a model file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
