"""What stops a probe before it computes anything: one line with what, where and the fix, exit code 2, no folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ssl_platform.cli.main import main

Write = Callable[..., Path]
MANY = ["train", "train", "train", "val", "val", "test", "test", "test"]


def table(data: Path, labels: list[str], split: list[str] | None = None) -> Path:
    """A manifest beside the toy items with these labels."""
    rows = [f"item{i}.npy,{label}" + (f",{split[i]}" if split is not None else "") for i, label in enumerate(labels)]
    path = data.with_name("own.csv")
    head = "path,label,split" if split is not None else "path,label"
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, *words: object) -> str:
    """The one line a probe fails with; no folder is left behind."""
    run = tmp_path / "run"
    assert main(["probe", *map(str, words), "--run", str(run)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and not run.exists()
    return lines[0]


@pytest.mark.parametrize("protocol", ["knn", "clustering", "anomaly", "semi-supervised", "linear-layers"])
def test_labels_are_missing(
    toy_encoder: Write, toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], protocol: str
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    np.save(bare / "a.npy", np.zeros((16, 16, 16), np.float32))
    line = refused(capsys, tmp_path, "--encoder", toy_encoder(), "--data", bare, "--protocol", protocol)
    assert "no labels found: give --labels" in line


def test_a_protocol_without_labels_beside_one_that_needs_them(
    toy_encoder: Write, toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    np.save(bare / "a.npy", np.zeros((16, 16, 16), np.float32))
    both = ("--protocol", "object-discovery,knn")
    assert "no labels found" in refused(capsys, tmp_path, "--encoder", toy_encoder(), "--data", bare, *both)


def test_there_is_one_class_only(
    toy_encoder: Write, toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = table(toy_data, ["ball"] * 8)
    line = refused(capsys, tmp_path, "--encoder", toy_encoder(), "--manifest", manifest, "--protocol", "clustering")
    assert "has one class only ('ball'): a task needs at least two" in line


def test_a_class_is_unseen_in_training(
    toy_encoder: Write, toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ["ball", "ball", "box", "ball", "box", "ball", "box", "ring"]
    words = ("--encoder", toy_encoder(), "--manifest", table(toy_data, labels, MANY))
    line = refused(capsys, tmp_path, *words, "--protocol", "linear")
    assert "class 'ring' is in test ('item7.npy') and not in train" in line and "labels.unseen=allow" in line
    keys = ("--protocol", "anomaly", "labels.unseen=allow", "labels.positive=ring", "--run", tmp_path / "anomaly")
    assert main(["probe", *map(str, (*words, *keys))]) == 0


def test_nothing_normal_is_left(
    toy_encoder: Write, toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ["bad", "bad", "good", "bad", "bad", "good", "bad", "good"]
    words = ("--encoder", toy_encoder(), "--manifest", table(toy_data, labels, MANY), "labels.positive=bad")
    line = refused(capsys, tmp_path, *words, "--protocol", "anomaly")
    assert "with 'bad' as the anomaly 1 normal items are left to learn from: label more" in line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--protocol", "linear-layers", "probe.layers=[7]"), "probe.layers=7: the encoder has blocks 0 to 0"),
        (("--protocol", "label-utility", "probe.counts=[500]"), "probe.counts=500: there are 3 training labels"),
        (("--protocol", "fewshot", "probe.classifier=forest"), "probe.classifier"),
        (("--protocol", "clustering", "probe.clusters=40"), "items to learn from make no 40 clusters"),
        (("--protocol", "clustring"), "unknown protocol 'clustring' (did you mean 'clustering'?)"),
        (("--protocol", "label-utility", "probe.scratch=[nowhere]"), "probe.scratch: nowhere is no finished run"),
        (("--protocol", "svm", "probe.costs=[]"), "probe.costs"),
        (("--protocol", "svm", "probe.costs=[-1]"), "probe.costs"),
        (("--protocol", "semi-supervised", "probe.fractions=[2]"), "probe.fractions"),
    ],
)
def test_a_setting_that_cannot_be_met(
    toy_encoder: Write,
    toy_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    told: str,
) -> None:
    manifest = table(toy_data, ["ball", "box"] * 4, MANY)
    run = tmp_path / "run"
    assert main(["probe", "--encoder", str(toy_encoder()), "--manifest", str(manifest), *words, "--run", str(run)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and told in lines[0]
