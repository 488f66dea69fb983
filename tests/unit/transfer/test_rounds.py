"""Fine-tuning in every round of a cross-validation, continued where it was stopped."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssl_platform import api
from ssl_platform.data.prepared import Prepared
from ssl_platform.errors import EncoderError, Unreadable, UsageError
from ssl_platform.testing.toy_domain import ToyDomain
from ssl_platform.transfer import finetune as command
from ssl_platform.transfer.evaluation import Outcome, together
from ssl_platform.transfer.intervals import over_groups
from ssl_platform.transfer.metrics import accuracy
from ssl_platform.transfer.model import load_model
from ssl_platform.transfer.protocols.answer import Answer
from ssl_platform.transfer.rounds import pooled, read_outcome, write_outcome
from ssl_platform.transfer.task import Task
from ssl_platform.types import Row

Write = Callable[..., Path]
QUICK = {"finetune.steps": 1, "finetune.batch_size": 4, "finetune.fold": "all", "views.off": ["gain"]}


@pytest.fixture
def folds(toy_data: Path) -> Path:
    """The toy set with a column of three folds instead of a split."""
    with toy_data.open() as file:
        rows = list(csv.DictReader(file))
    out = toy_data.with_name("folds.csv")
    lines = [f"{row['path']},{row['label']},{i // 2 % 3}" for i, row in enumerate(rows)]
    out.write_text("\n".join(["path,label,fold", *lines]) + "\n")
    return out


def test_every_item_is_tested_once_by_the_model_of_its_fold(
    toy_encoder: Write, folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    encoder, run = toy_encoder(), tmp_path / "run"
    words: dict[str, Any] = {"encoder": encoder, "manifest": folds, "run": run, "overrides": QUICK}
    result = api.finetune(**words)
    with (run / "predictions_finetune.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [row["path"] for row in csv.DictReader(folds.open())]
    fold = {row["path"]: int(row["fold"]) for row in csv.DictReader(folds.open())}
    assert [row["id"] for row in rows] == [name for k in range(3) for name in names if fold[name] == k]
    classes = [name for name in rows[0] if name not in ("id", "target")]
    hits = [row["target"] == max(classes, key=lambda c: float(row[c])) for row in rows]
    assert result["metrics"]["finetune/accuracy"]["value"] == pytest.approx(np.mean(hits))
    assert result["metrics"]["finetune/accuracy"]["ci_over"] == "groups"
    about = result["details"]["finetune"]
    assert about["fold"] == "all" and [known["fold"] for known in about["rounds"]] == [1, 2, 3]
    assert result["steps"] == about["steps"] == 3 and len(result["paths"]["models"]) == 3
    trained = [set(load_model(run / f"fold{k}")[1].training["items"]) for k in (1, 2, 3)]
    assert all(trained) and (run / "fold2" / "metrics.csv").exists() and not (run / "model.safetensors").exists()
    assert "fold2: accuracy" in capsys.readouterr().out
    with pytest.raises(EncoderError, match=r"give one of its folds, e\.g\. .*fold1"):
        load_model(run)

    # stopped in the third round: the first two stay as they are, and the figures come out the same
    (run / "fold3" / "outcome.json").unlink()
    before = [(run / f"fold{k}" / "model.safetensors").stat().st_mtime_ns for k in (1, 2, 3)]
    count: list[int] = []
    train = command.train_and_score
    monkeypatch.setattr(command, "train_and_score", lambda *a, **k: count.append(1) or train(*a, **k))
    again = api.finetune(**words, resume=True)
    after = [(run / f"fold{k}" / "model.safetensors").stat().st_mtime_ns for k in (1, 2, 3)]
    assert count == [1] and [a == b for a, b in zip(after, before, strict=True)] == [True, True, False]
    assert again["metrics"] == result["metrics"] and again["status"] == "done"
    with pytest.raises(UsageError, match=r"was trained with finetune\.steps 1 and not 2: give the same command"):
        api.finetune(**{**words, "overrides": {**QUICK, "finetune.steps": 2}}, resume=True)
    assert json.loads((run / "result.json").read_text())["status"] == "done"
    with pytest.raises(UsageError, match="the folder is not empty"):
        api.finetune(**words)
    with pytest.raises(UsageError, match=r"finetune\.fold all and not 1"):
        api.finetune(**{**words, "overrides": {**QUICK, "finetune.fold": 1}}, resume=True)


def test_items_that_could_not_be_read_stay_counted_when_a_run_goes_on(
    toy_encoder: Write, folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """One item of the first round fails while that is tested; the round is finished when the run goes on."""
    monkeypatch.setenv("SSL_PLATFORM_CACHE", str(tmp_path / "cache"))  # where no other test has put the item
    prepare, fails = ToyDomain.prepare, [True]

    def failing(domain: ToyDomain, row: Row) -> Prepared:
        if fails and row.id == "item0.npy":
            raise Unreadable("its disk is gone")
        return prepare(domain, row)

    monkeypatch.setattr(ToyDomain, "prepare", failing)
    keys = {**QUICK, "data.check": "header", "data.max_bad_fraction": 0.5}
    words: dict[str, Any] = {"encoder": toy_encoder(), "manifest": folds, "run": tmp_path / "run", "overrides": keys}
    result = api.finetune(**words)
    assert result["quarantined"] == 1
    (tmp_path / "run" / "fold3" / "outcome.json").unlink()
    fails.clear()
    capsys.readouterr()
    again = api.finetune(**words, resume=True)
    assert again["quarantined"] == 1 and "left out of all metrics, e.g. item0.npy: its disk" in capsys.readouterr().out
    with (tmp_path / "run" / "predictions_finetune.csv").open() as file:
        assert "item0.npy" not in [row["id"] for row in csv.DictReader(file)]


def test_a_split_that_is_no_cross_validation_has_one_model(toy_encoder: Write, toy_masks: Path, tmp_path: Path) -> None:
    keys = {**QUICK, "finetune.width": 4}
    result = api.finetune(encoder=toy_encoder(), manifest=toy_masks, run=tmp_path / "run", overrides=keys)
    assert (tmp_path / "run" / "model.safetensors").exists() and result["details"]["finetune"]["fold"] == 1


TASK = Task("classification", ("a", "b"))


def outcome(seed: int, count: int) -> Outcome:
    rng = np.random.default_rng(seed)
    ids = [f"{seed}-{i}" for i in range(count)]
    answer = Answer(rng.integers(0, 2, count), rng.normal(size=(count, 2)), ids, ids, {"loss": float("nan")})
    return together([answer], {"accuracy": accuracy})


def test_metrics_are_of_all_items_and_intervals_over_all_groups() -> None:
    first, second = outcome(0, 10), outcome(1, 30)
    found = pooled([first, second], TASK)
    hits = [o.score.argmax(1) == o.target for o in (first, second)]
    assert found.metrics["accuracy"].value == pytest.approx(np.concatenate(hits).mean())
    everything = np.concatenate([first.target, second.target]), np.concatenate([first.score, second.score])
    expected = over_groups(accuracy, *everything, [*first.ids, *second.ids])
    assert found.metrics["accuracy"] == expected and len(found.details) == 2


def test_figures_of_items_are_pooled_by_name() -> None:
    """Two rounds whose items have unlike classes: cells add up by class."""
    columns = ("dice", "cells_both_a", "cells_either_a"), ("cells_both_b", "cells_either_b", "dice")
    scores = np.array([[0.5, 10.0, 20.0]]), np.array([[30.0, 40.0, 1.0]])
    rounds = [
        Outcome({}, np.zeros((1, 0)), score, [f"i{k}"], [{}], [f"g{k}"], {}, names)
        for k, (score, names) in enumerate(zip(scores, columns, strict=True))
    ]
    found = pooled(rounds, Task("segmentation", ("a", "b")))
    assert found.metrics["dice"].value == 0.75 and found.metrics["miou"].value == pytest.approx((0.5 + 0.75) / 2)
    assert found.metrics["iou_b"].value == 0.75 and found.ids == ["i0", "i1"]


def test_an_outcome_is_read_back_as_it_was(tmp_path: Path) -> None:
    first = outcome(3, 7)
    write_outcome(tmp_path, first, {"split": "x"}, {"a": "it is gone"})
    unread = {"b": "damaged"}
    again = read_outcome(tmp_path, TASK, {"split": "x"}, unread)
    assert unread == {"a": "it is gone", "b": "damaged"}
    assert again is not None and again.target.dtype == first.target.dtype
    assert np.array_equal(again.target, first.target) and np.array_equal(again.score, first.score)
    assert again.ids == first.ids and again.groups == first.groups
    assert again.metrics["accuracy"].value == first.metrics["accuracy"].value
    with pytest.raises(UsageError, match="split x and not y"):
        read_outcome(tmp_path, TASK, {"split": "y"})
    assert read_outcome(tmp_path / "other", TASK, {}) is None
