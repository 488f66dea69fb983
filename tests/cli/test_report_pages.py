"""Pages of evaluations of the toy domain: what was predicted, where it was seen, and the same page made again."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ssl_platform.cli.main import main
from ssl_platform.report import album as albums
from ssl_platform.report.paint import PALETTE

Write = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


def test_a_probe_shows_its_test_items_and_what_is_alike(toy_encoder: Write, toy_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "probe"
    words = ["--encoder", str(toy_encoder()), "--manifest", str(toy_data), "--protocol", "linear", "--run", str(run)]
    assert main(["probe", *words]) == 0
    assert (run / "random_linear.csv").exists(), "so that the difference to random weights is paired by item"
    made = albums.load(run)
    assert made is not None and made.missing == []
    predicted = (run / "predictions_linear.csv").read_text(encoding="utf-8").splitlines()[1:]
    true = {line.split(",")[0]: line.split(",")[1] for line in predicted}
    assert {one.item: one.true for one in made.examples} == true, "a few test items: all of them"
    assert [one.right for one in made.examples] == sorted(one.right is True for one in made.examples)
    assert made.embedding is not None and len(made.embedding.items) == 8
    assert {made.embedding.items[one.query] for one in made.embedding.neighbours} <= set(true), "asked are test items"
    assert len(made.looks) == 5 and all(0.1 <= one.top <= 1 for one in made.looks)
    assert all(one.attention.shape[:2] == one.input.shape[:2] for one in made.looks)
    text = (run / "report.html").read_text(encoding="utf-8")
    headings = ("Confusion matrix", "Each class", "Examples", "Attention", "Embedding map", "Nearest neighbours")
    assert all(f">{heading}</h" in text for heading in headings)


def test_masks_lie_on_the_item_and_are_made_again_when_asked(
    toy_encoder: Write, toy_masks: Path, tmp_path: Path, capsys: Capture
) -> None:
    run = tmp_path / "tuned"
    small = ["finetune.steps=2", "finetune.batch_size=2", "data.workers=0"]
    words = ["--encoder", str(toy_encoder()), "--manifest", str(toy_masks), "--run", str(run), *small]
    assert main(["finetune", *words]) == 0
    made = albums.load(run)
    assert made is not None and made.missing == [] and len(made.examples) == 2 and made.embedding is None
    for one in made.examples:
        pictures = dict(one.pictures)
        assert list(pictures) == ["item", "reference", "prediction"]
        assert (pictures["reference"][..., :3] != pictures["item"][..., None]).any(), "the ball is marked"
    assert "Overlays" in (run / "report.html").read_text(encoding="utf-8")
    shutil.rmtree(run / "report")
    assert main(["report", str(run)]) == 0
    again = albums.load(run)
    assert again is not None and "without new pictures" not in capsys.readouterr().out
    for one, other in zip(made.examples, again.examples, strict=True):
        assert one.score == other.score
        assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(one.pictures, other.pictures, strict=True))


def test_boxes_lie_beside_the_object_they_were_drawn_for(
    toy_encoder: Write, toy_masks: Path, tmp_path: Path, capsys: Capture
) -> None:
    run, encoder = tmp_path / "found", str(toy_encoder())
    words = ["--encoder", encoder, "--manifest", str(toy_masks), "--protocol", "object-discovery", "--run", str(run)]
    assert main(["probe", *words]) == 0
    made = albums.load(run)
    assert made is not None and made.missing == [] and len(made.objects) == 2 and not made.examples
    told = {row["id"]: row for row in csv.DictReader((run / "predictions_object-discovery.csv").open(encoding="utf-8"))}
    for one in made.objects:
        (first, ball), *boxes = one.pictures
        assert first == "object" and ball.ndim == 3, "three slices with the ball in its colour"
        assert (np.ptp(ball.astype(int), axis=2) > 60).any() and (np.ptp(ball.astype(int), axis=2) == 0).any()
        for (words_, picture), method in zip(boxes, ("lost", "tokencut"), strict=True):
            name, overlap = words_.split(", overlap ")
            assert name.lower() == method and picture.shape == ball.shape
            assert float(overlap[:4]) == pytest.approx(float(told[one.item][f"iou_{method}"]), abs=0.006)
            blue, orange = (np.abs(picture - np.array(colour)).max(axis=2) < 40 for colour in PALETTE[:2])
            assert blue.any() and (orange.any() or "not on these slices" in words_)
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "Objects found" in text and "the box that was found" in text
    assert main(["report", str(run), "--anonymous"]) == 0
    assert "<img" not in (run / "report-anonymous.html").read_text(encoding="utf-8")

    bare = tmp_path / "bare"
    bare.mkdir()
    for i in range(4):
        shutil.copy(toy_masks.parent / f"item{i}.npy", bare)
    words = ["--encoder", encoder, "--data", str(bare), "--protocol", "object-discovery", "--run", str(tmp_path / "b")]
    assert main(["probe", *words]) == 0
    shutil.rmtree(tmp_path / "b" / "report")
    capsys.readouterr()
    assert main(["report", str(tmp_path / "b")]) == 0 and "without new pictures" not in capsys.readouterr().out
    made = albums.load(tmp_path / "b")
    assert made is not None and made.missing == [] and len(made.objects) == 4
    names = [[name.removesuffix(", not on these slices") for name, _ in one.pictures] for one in made.objects]
    assert names == [["item", "LOST", "TokenCut"]] * 4


def test_an_anonymous_page_of_an_evaluation_has_numbers_alone(
    toy_encoder: Write, toy_data: Path, tmp_path: Path
) -> None:
    run = tmp_path / "probe"
    words = ["--encoder", str(toy_encoder()), "--manifest", str(toy_data), "--protocol", "knn", "--run", str(run)]
    assert main(["probe", *words]) == 0
    assert main(["report", str(run), "--anonymous"]) == 0
    text = (run / "report-anonymous.html").read_text(encoding="utf-8")
    assert "<img" not in text and "Confusion matrix" in text and "class 1" in text
    told = re.sub(r"<(style|script)>.*?</\1>", "", text, flags=re.S)  # without our own style sheet and script
    for word in ("ball", "box", "item0", str(tmp_path)):
        assert word not in told, word


def test_pictures_that_fail_cost_a_line(
    toy_encoder: Write, toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no pictures today")

    monkeypatch.setattr("ssl_platform.report.evaluation_snapshot.take", broken)
    run = tmp_path / "probe"
    words = ["--encoder", str(toy_encoder()), "--manifest", str(toy_data), "--protocol", "knn", "--run", str(run)]
    assert main(["probe", *words]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("warning:"))
    assert "no pictures today" in line and line.endswith("tries again")
    assert json.loads((run / "result.json").read_text(encoding="utf-8"))["status"] == "done"
    assert (run / "report.html").exists()
