"""A model applied: the same answers as when it was made, in files, and one line where it cannot be."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssl_platform import api
from ssl_platform.errors import ConfigError, EncoderError, LabelError, UsageError
from ssl_platform.transfer.prediction import safe_name

Write = Callable[..., Path]
QUICK = {"finetune.steps": 4, "finetune.width": 4, "finetune.batch_size": 4}


def table(path: Path) -> dict[str, dict[str, str]]:
    with path.open() as file:
        return {row["id"]: row for row in csv.DictReader(file)}


@pytest.fixture
def items(toy_encoder: Write, toy_data: Path, tmp_path: Path) -> Path:
    api.finetune(encoder=toy_encoder(), manifest=toy_data, run=tmp_path / "run", overrides=QUICK)
    return tmp_path / "run"


@pytest.fixture
def cells(toy_encoder: Write, toy_masks: Path, tmp_path: Path) -> Path:
    api.finetune(encoder=toy_encoder(), manifest=toy_masks, run=tmp_path / "run", overrides=QUICK)
    return tmp_path / "run"


def test_items_get_the_probabilities_of_the_run(items: Path, toy_data: Path, tmp_path: Path) -> None:
    result = api.predict(model=items, data=toy_data.parent, out=tmp_path / "out")
    assert result["status"] == "done" and result["items"] == 8 and result["metrics"] == {}
    found, before = table(tmp_path / "out" / "predictions.csv"), table(items / "predictions_finetune.csv")
    assert set(before) < set(found) and "target" not in found["item0.npy"]
    for name, row in before.items():
        for column in ("ball", "box"):
            assert float(found[name][column]) == pytest.approx(float(row[column]), abs=1e-5)
    for row in found.values():
        assert row["prediction"] == max(("ball", "box"), key=lambda column: float(row[column]))


def test_labelled_items_are_scored(items: Path, toy_data: Path, tmp_path: Path, capsys: Any) -> None:
    result = api.predict(model=items, manifest=toy_data, out=tmp_path / "out")
    found = table(tmp_path / "out" / "predictions.csv")
    right = np.mean([row["prediction"] == row["target"] for row in found.values()])
    assert result["metrics"]["predict/accuracy"]["value"] == pytest.approx(right)
    assert "of 8 scored items were among the model's training items" in capsys.readouterr().out


def test_cells_are_written_in_the_masks_own_values(cells: Path, toy_masks: Path, tmp_path: Path) -> None:
    result = api.predict(model=cells, manifest=toy_masks, out=tmp_path / "out")
    found = table(tmp_path / "out" / "predictions.csv")
    assert len(found) == 10 and result["items"] == 10
    scores = []
    for i in range(10):
        told = np.load(tmp_path / "out" / found[f"item{i}.npy"]["file"])
        assert told.shape == (16, 16, 16) and set(np.unique(told)) <= {0, 7}
        truth = np.load(toy_masks.parent / f"ball{i}.npy") == 7
        scores.append(2 * (truth & (told == 7)).sum() / (truth.sum() + (told == 7).sum()))
        assert float(found[f"item{i}.npy"]["dice"]) == pytest.approx(scores[-1], abs=1e-5)
    assert result["metrics"]["predict/dice"]["value"] == pytest.approx(np.mean(scores))
    test = table(cells / "predictions_finetune.csv")
    assert all(row["dice"] == found[name]["dice"] for name, row in test.items())


@pytest.mark.parametrize("kind", ["items", "cells"])
def test_prepared_data_get_what_their_source_gets(
    kind: str, request: pytest.FixtureRequest, toy_data: Path, toy_masks: Path, tmp_path: Path
) -> None:
    model, manifest = request.getfixturevalue(kind), {"items": toy_data, "cells": toy_masks}[kind]
    if kind == "cells":  # labels beside masks: the model says which are meant
        head, *lines = manifest.read_text().splitlines()
        text = [f"{head},label", *(f"{line},{'ab'[i % 2]}" for i, line in enumerate(lines))]
        manifest.write_text("\n".join(text) + "\n")
    before = api.predict(model=model, manifest=manifest, out=tmp_path / "before")
    api.prepare(manifest=manifest, domain="toy", out=tmp_path / "shards")
    manifest.parent.rename(tmp_path / "elsewhere")
    after = api.predict(model=model, data=tmp_path / "shards", out=tmp_path / "after")
    assert after["metrics"].keys() == before["metrics"].keys()
    name = "dice" if kind == "cells" else "accuracy"
    assert after["metrics"][f"predict/{name}"] == before["metrics"][f"predict/{name}"]
    found, expected = (table(tmp_path / folder / "predictions.csv") for folder in ("after", "before"))
    assert found == expected
    for row in found.values() if kind == "cells" else ():
        one, two = (np.load(tmp_path / folder / row["file"]) for folder in ("after", "before"))
        assert np.array_equal(one, two)


def test_one_line_errors(items: Path, toy_data: Path, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "a").touch()
    with pytest.raises(UsageError, match="exists and is not an empty folder"):
        api.predict(model=items, manifest=toy_data, out=full)
    with pytest.raises((EncoderError, ConfigError), match="medical3d"):
        api.predict(model=items, manifest=toy_data, out=tmp_path / "a", overrides={"domain": "medical3d"})
    with pytest.raises(LabelError, match="class 'cone' is not among the model's: ball, box"):
        other = toy_data.with_name("other.csv")
        other.write_text(toy_data.read_text().replace(",box", ",cone"))
        api.predict(model=items, manifest=other, out=tmp_path / "b")
    path = items / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(EncoderError, match="truncated"):
        api.predict(model=items, manifest=toy_data, out=tmp_path / "c")
    assert not any((tmp_path / name).exists() for name in "abc")


def test_names_of_files_stay_inside_the_folder() -> None:
    assert str(safe_name("a/b.nii.gz")) == "a/b.nii.gz"
    assert str(safe_name("/../../etc/x#2")) == "etc/x_2"
    assert str(safe_name("..")) == "item"
