"""Every command that makes a run keeps what was asked, with what, on which data; items it cannot read are said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ssl_platform import api

Write = Callable[..., Path]
ASKED = {"config.yaml", "command.txt", "environment.json", "result.json", "events.log"}
DATA = {"catalog.parquet", "splits.csv", "quarantine.csv"}
FEW = {"finetune.steps": 2, "finetune.batch_size": 2, "data.workers": 0}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_was_asked_is_kept(toy_encoder: Write, toy_data: Path, tmp_path: Path) -> None:
    encoder = toy_encoder("a")
    api.probe(encoder=encoder, manifest=toy_data, protocol="knn", run=tmp_path / "probe", overrides={"seed": 5})
    api.finetune(encoder=encoder, manifest=toy_data, run=tmp_path / "tuned", overrides=FEW)
    where = {"data.manifest": str(toy_data), "run": str(tmp_path / "compared")}
    api.compare(runs=[encoder], protocol="knn", overrides=where)
    api.predict(model=tmp_path / "tuned", manifest=toy_data, out=tmp_path / "predicted")
    assert names(tmp_path / "probe") >= ASKED | DATA and names(tmp_path / "tuned") >= ASKED | DATA
    assert names(tmp_path / "compared") >= ASKED and names(tmp_path / "predicted") >= ASKED
    config = yaml.safe_load((tmp_path / "probe" / "config.yaml").read_text())
    assert config["command"] == "probe" and config["seed"] == 5 and config["protocol"] == ["knn"]
    assert config["domain"] == "toy", "taken over from the encoder"
    tuned = yaml.safe_load((tmp_path / "tuned" / "config.yaml").read_text())
    assert tuned["finetune"]["steps"] == 2 and tuned["encoder"] == str(encoder)
    environment = json.loads((tmp_path / "probe" / "environment.json").read_text())
    assert environment["device"] == "cpu" and environment["packages"]["torch"]


def test_items_that_cannot_be_read_count_nowhere_and_are_said(
    toy_encoder: Write, toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("ssl_platform.data.content.FEW_ITEMS", 0)
    encoder = toy_encoder("a")
    whole = api.probe(encoder=encoder, manifest=toy_data, protocol="knn", run=tmp_path / "whole")
    assert whole["quarantined"] == 0 and "could not be read" not in capsys.readouterr().out

    from ssl_platform.testing.toy_domain import ToyDomain

    prepare = ToyDomain.prepare

    def failing(self: ToyDomain, row: Any) -> Any:
        if row.id == "item3.npy":
            raise OSError(5, "Input/output error")
        return prepare(self, row)

    monkeypatch.setattr(ToyDomain, "prepare", failing)
    result = api.probe(
        encoder=encoder,
        manifest=toy_data,
        protocol="knn",
        run=tmp_path / "part",
        overrides={"cache.dir": str(tmp_path / "cache")},
    )
    said = capsys.readouterr().out
    assert "1 item could not be read, left out of all metrics, e.g. item3.npy: input/output error" in said
    assert result["quarantined"] == 1
    assert "item3.npy" not in (tmp_path / "part" / "predictions_knn.csv").read_text()
    assert "item3.npy" in (tmp_path / "whole" / "predictions_knn.csv").read_text()


def test_an_evaluation_keeps_its_overlap_its_split_and_the_names_that_match_nothing(
    toy_encoder: Write, toy_data: Path, tmp_path: Path
) -> None:
    lines = toy_data.read_text().splitlines()
    toy_data.write_text("\n".join([*lines[:-1], "item99.npy,ball"]) + "\n")
    result = api.probe(
        encoder=toy_encoder("a"), data=toy_data.parent, labels=toy_data, protocol="knn", run=tmp_path / "run"
    )
    stored = json.loads((tmp_path / "run" / "result.json").read_text())
    assert stored["overlap"] == "unknown whether the 7 test items were in pretraining"
    assert stored["split_id"] == result["split_id"] and len(stored["split_id"]) == 12
    assert (tmp_path / "run" / "labels_unmatched.csv").read_text() == "side,name\nlabels,item99.npy\ndata,item7.npy\n"
    assert stored["metrics"]["knn/accuracy"]["ci_over"] == "groups"
