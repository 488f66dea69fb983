"""`labels.unit=group`: the scores of a patient's items are averaged, and patients are what metrics count."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssl_platform import api
from ssl_platform.errors import ConfigError, LabelError
from ssl_platform.transfer.evaluation import together
from ssl_platform.transfer.metrics import metrics_of
from ssl_platform.transfer.protocols.answer import Answer, mean_of_column
from ssl_platform.transfer.units import by_unit

Write = Callable[..., Path]
GROUPS = ["p", "q", "p", "q", "r"]


def test_scores_of_a_group_are_averaged_and_the_group_is_counted_once() -> None:
    score = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.0, 1.0], [0.2, 0.8]], dtype=np.float32)
    items = Answer(np.array([0, 1, 0, 1, 0]), score, GROUPS, list("abcde"))
    groups = by_unit(items, "group")
    np.testing.assert_allclose(groups.score, [[0.6, 0.4], [0.3, 0.7], [0.2, 0.8]])
    assert groups.target.tolist() == [0, 1, 0] and groups.ids == groups.groups == ["p", "q", "r"]
    accuracy = {unit: together([a], metrics_of("classification", None)).metrics["accuracy"].value
                for unit, a in (("item", by_unit(items, "item")), ("group", groups))}  # fmt: skip
    assert accuracy == pytest.approx({"item": 2 / 5, "group": 2 / 3})


def test_values_and_several_labels() -> None:
    values = by_unit(Answer(np.array([1.0, 4, 3, 6, 7]), np.array([2.0, 5, 4, 7, 8]), GROUPS, list("abcde")), "group")
    assert values.target.tolist() == [2, 5, 7] and values.score.tolist() == [3, 6, 8]
    known = np.array([[1, np.nan], [0, 1], [1, np.nan], [0, 1], [0, 0]], dtype=np.float32)
    several = by_unit(Answer(known, np.eye(5)[:, :2], GROUPS, list("abcde")), "group")
    np.testing.assert_array_equal(several.target, known[[0, 1, 4]])
    assert several.score.tolist() == [[0.5, 0], [0, 0.5], [0, 0]]


def test_figures_of_items_against_each_other_are_refused() -> None:
    figures = Answer(np.zeros((1, 0)), np.ones((1, 1)), ["p"], ["a"], functions={"map": mean_of_column(0)})
    assert by_unit(figures, "item") is figures
    with pytest.raises(ConfigError, match=r"labels\.unit=group: this protocol measures items against each other"):
        by_unit(figures, "group")


def patients(manifest: Path) -> Path:
    """Two items a patient: `item0` and `item2` are p0's, `item1` and `item3` p1's, and so on."""
    _, *lines = manifest.read_text().splitlines()
    own = [f"{line},p{i // 4 * 2 + i % 2}" for i, line in enumerate(lines)]
    parts = [*["train"] * 4, *["test"] * 4]
    rows = [f"{line},{part}" for line, part in zip(own, parts, strict=True)]
    manifest.write_text("\n".join(["path,label,group,split", *rows]) + "\n")
    return manifest


def test_probe_finetune_and_predict_count_patients(toy_encoder: Write, toy_data: Path, tmp_path: Path) -> None:
    encoder, manifest = toy_encoder(), patients(toy_data)
    few = {"finetune.steps": 2, "finetune.batch_size": 2, "labels.unit": "group"}
    probed = api.probe(encoder=encoder, manifest=manifest, protocol="knn", run=tmp_path / "p", overrides=few)
    api.finetune(encoder=encoder, manifest=manifest, run=tmp_path / "f", overrides=few)
    for name in ("p/predictions_knn.csv", "f/predictions_finetune.csv"):
        with (tmp_path / name).open() as file:
            rows = list(csv.DictReader(file))
        assert [(row["id"], row["target"]) for row in rows] == [("p2", "box"), ("p3", "ball")]
    assert probed["labels_unit"] == "group" and probed["metrics"]["knn/accuracy"]["value"] in (0.0, 0.5, 1.0)
    items = api.predict(model=tmp_path / "f", manifest=manifest, out=tmp_path / "i")
    counted = api.predict(
        model=tmp_path / "f", manifest=manifest, out=tmp_path / "g", overrides={"labels.unit": "group"}
    )
    assert items["items"] == counted["items"] == 8
    assert counted["metrics"]["predict/accuracy"]["value"] in (0.0, 0.25, 0.5, 0.75, 1.0)


def refused(encoder: Path, manifest: Path, run: Path, **overrides: Any) -> str:
    with pytest.raises((ConfigError, LabelError)) as error:
        api.probe(encoder=encoder, manifest=manifest, run=run, overrides=overrides)
    assert not run.exists(), "found before anything is computed"
    return str(error.value)


def test_what_cannot_be_put_together_is_refused_first(
    toy_encoder: Write, toy_data: Path, toy_masks: Path, tmp_path: Path
) -> None:
    encoder, group = toy_encoder(), {"labels.unit": "group"}
    masks = {**group, "domain": "toy", "finetune.steps": 1}
    with pytest.raises(ConfigError, match=r"labels\.unit=group: masks are scored cell by cell, item by item"):
        api.finetune(encoder=encoder, manifest=toy_masks, run=tmp_path / "m", overrides=masks)
    table = patients(toy_data)
    table.write_text(table.read_text().replace(",p3,", ",p2,"))
    assert refused(encoder, table, tmp_path / "a", **group) == (
        "labels.unit=group: group 'p2' has two labels, 'box' ('item4.npy') and 'ball' ('item5.npy'): "
        "give one label a group"
    )
