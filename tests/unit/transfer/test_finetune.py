"""From an encoder to a model: it learns, keeps what it must and reads the test items once."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ssl_platform import api
from ssl_platform import encoder as encoder_files
from ssl_platform.configure import configure
from ssl_platform.errors import ConfigError, LabelError
from ssl_platform.testing.toy_domain import ToyDomain
from ssl_platform.transfer.model import load_model
from ssl_platform.transfer.opening import open_transfer
from ssl_platform.transfer.train_model import train_and_score

Write = Callable[..., Path]
QUICK = {"finetune.steps": 6, "finetune.width": 4, "finetune.batch_size": 4}


def tuned(encoder: str | Path, manifest: Path, run: Path, **overrides: Any) -> dict[str, Any]:
    keys = {name.replace("__", "."): value for name, value in overrides.items()}
    domain = "toy" if encoder == "random" else None
    return api.finetune(encoder=encoder, manifest=manifest, run=run, domain=domain, overrides={**QUICK, **keys})


def test_segmentation_learns(toy_encoder: Write, toy_masks: Path, tmp_path: Path) -> None:
    encoder = toy_encoder(backbone="convnet-tiny")
    result = tuned(encoder, toy_masks, tmp_path / "run", finetune__steps=40, finetune__lr=1e-2)
    assert result["status"] == "done" and result["steps"] == 40 and result["task"] == "segmentation"
    assert result["metrics"]["finetune/dice"]["value"] > 0.8
    assert result["metrics"]["finetune/dice"]["ci_over"] == "groups"
    assert result["loss"]["last"] < result["loss"]["first"]
    with (tmp_path / "run" / "predictions_finetune.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["item8.npy", "item9.npy"]
    mean = np.mean([float(row["dice"]) for row in rows])
    assert mean == pytest.approx(result["metrics"]["finetune/dice"]["value"], abs=1e-5)
    with (tmp_path / "run" / "metrics.csv").open() as file:
        steps = list(csv.DictReader(file))
    assert len(steps) == 40 and sum(bool(row["validation"]) for row in steps) == 10
    for name in ("config.yaml", "splits.csv", "catalog.parquet", "model.json", "events.log", "report.html"):
        assert (tmp_path / "run" / name).exists(), name


def test_frozen_leaves_the_encoder_as_it_is(toy_encoder: Write, toy_masks: Path, tmp_path: Path) -> None:
    encoder = toy_encoder()
    weights = encoder_files.load_encoder(encoder).model.state_dict()
    for mode in ("frozen", "full"):
        tuned(encoder, toy_masks, tmp_path / mode, finetune__mode=mode)
        model, record = load_model(tmp_path / mode)
        same = all(torch.equal(value, model.backbone.state_dict()[name]) for name, value in weights.items())
        assert same == (mode == "frozen") and record.mode == mode
        assert record.values == (0, 7) and record.task.classes == ("0", "7")


def test_test_items_are_read_when_all_else_is_done(
    toy_encoder: Write, toy_masks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, order = ToyDomain.read, []

    def counted(self: ToyDomain, row: Any, window: Any) -> Any:
        order.append(row.id)
        return read(self, row, window)

    monkeypatch.setattr(ToyDomain, "read", counted)
    tuned(toy_encoder(), toy_masks, tmp_path / "run", finetune__eval_every=2)
    first = order.index("item8.npy")  # scored once; what follows draws their pictures
    assert order[first : first + 2] == ["item8.npy", "item9.npy"]
    assert set(order[first:]) == {"item8.npy", "item9.npy"} and "item9.npy" not in order[:first]


@pytest.mark.parametrize("encoder", ["given", "random"])
def test_items_are_classified(encoder: str, toy_encoder: Write, toy_data: Path, tmp_path: Path, capsys: Any) -> None:
    given = toy_encoder()
    extra = {} if encoder == "given" else {"backbone__depth": 1, "backbone__dim": 24, "backbone__heads": 2}
    result = tuned(given if encoder == "given" else "random", toy_data, tmp_path / "run", **extra)
    names = ("accuracy", "balanced_accuracy", "macro_f1", "auc")
    assert {f"finetune/{name}" for name in names} == set(result["metrics"])
    said = capsys.readouterr().out
    assert "round 1 of 5 of the cross-validation" in said
    assert "test items were in pretraining" in said
    assert ("finetune.layer_decay=1 " in said) == (encoder == "random")
    stored = json.loads((tmp_path / "run" / "result.json").read_text())
    assert stored["metrics"] == json.loads(json.dumps(result["metrics"]))


def test_regression_beats_the_mean(toy_encoder: Write, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=30)
    for i, value in enumerate(values):
        np.save(tmp_path / f"i{i}.npy", (rng.normal(size=(16, 16, 16)) * 0.1 + value).astype(np.float32))
    parts = ["train"] * 18 + ["val"] * 4 + ["test"] * 8
    lines = [f"i{i}.npy,{100 + 30 * v:.3f},{part}" for i, (v, part) in enumerate(zip(values, parts, strict=True))]
    (tmp_path / "t.csv").write_text("\n".join(["path,label,split", *lines]) + "\n")
    off = {"finetune__steps": 60, "finetune__lr": 1e-2, "views__off": ["gain"], "finetune__head": "random"}
    encoder = toy_encoder()
    result = tuned(encoder, tmp_path / "t.csv", tmp_path / "run", **off)
    assert result["metrics"]["finetune/r2"]["value"] > 0.5
    still = {"finetune__steps": 1, "finetune__lr": 1e-9}  # the head starts at the probe, in the target's unit
    result = tuned(encoder, tmp_path / "t.csv", tmp_path / "start", **still)
    assert result["metrics"]["finetune/r2"]["value"] > 0.5


def test_fewer_labels_and_the_same_test_items(toy_encoder: Write, toy_masks: Path, tmp_path: Path) -> None:
    encoder = toy_encoder()
    result = tuned(encoder, toy_masks, tmp_path / "run", labels__fraction=0.34)
    _, record = load_model(tmp_path / "run")
    assert len(record.training["items"]) == 2 and result["labels_fraction"] == 0.34
    with (tmp_path / "run" / "predictions_finetune.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2


def test_training_starts_from_a_copy(toy_encoder: Write, toy_masks: Path) -> None:
    words = {"encoder": str(toy_encoder()), "manifest": str(toy_masks)}
    opened = open_transfer(configure("finetune", overrides=QUICK, **words))
    before = {name: value.clone() for name, value in opened.encoder.model.state_dict().items()}
    first = train_and_score(opened, opened.encoder)
    second = train_and_score(opened, opened.encoder)
    assert all(torch.equal(before[n], v) for n, v in opened.encoder.model.state_dict().items())
    assert first.metrics == second.metrics and first.ids == second.ids
    assert first.score.shape == (2, 3) and first.columns == ("dice", "cells_both_7", "cells_either_7")


def test_one_line_errors(toy_encoder: Write, toy_data: Path, toy_masks: Path, tmp_path: Path) -> None:
    encoder = toy_encoder()
    with pytest.raises(ConfigError, match=r"finetune.fold=9: the split has 5 round"):
        tuned(encoder, toy_data, tmp_path / "a", finetune__fold=9)
    with pytest.raises(ConfigError, match=r"finetune\.mode"):
        tuned(encoder, toy_data, tmp_path / "b", finetune__mode="fast")
    lines = toy_masks.read_text().replace("test", "train").splitlines()
    toy_masks.write_text("\n".join(lines) + "\n")
    with pytest.raises(LabelError, match="no labelled test items"):
        tuned(encoder, toy_masks, tmp_path / "c")
    assert not any((tmp_path / name).exists() for name in "abc")
