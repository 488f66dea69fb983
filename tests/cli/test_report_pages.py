"""Pages of evaluations of the toy domain: what was predicted, where it was seen, and the same page made again."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ssl_platform.cli.main import main
from ssl_platform.report import album as albums

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
