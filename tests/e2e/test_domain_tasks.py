"""Downstream tasks of the domains on their own sample files, from encoder to figures."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from ssl_platform import api
from ssl_platform.configure import configure
from ssl_platform.opening import open_data
from ssl_platform.transfer.dense_evaluation import segment
from ssl_platform.transfer.model import load_model
from ssl_platform.transfer.opening import clean_maker, follow
from ssl_platform.transfer.task import Task
from ssl_platform.types import View

TINY = {"backbone.depth": 1, "backbone.dim": 24, "backbone.heads": 2}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def probed(domain: str, manifest: Path, run: Path, protocol: str | None = None, **words: Any) -> dict[str, Any]:
    keys = {**TINY, **words.pop("overrides", {})}
    return api.probe(
        encoder="random", domain=domain, manifest=manifest, run=run, protocol=protocol, overrides=keys, **words
    )


def test_slides_are_bags_of_tiles(tmp_path: Path) -> None:
    """The bag of a slide is its tiles on tissue; the vector of a slide is their mean; a bag has one label."""
    from ssl_platform_wholeslide.phantom import write_sample_set

    rows = [r for r in table(write_sample_set(tmp_path / "set", items=24)) if r["label"] in ("dense", "sparse")]
    for row in rows:
        row.pop("split")  # ten patients: each is tested once in five rounds
    manifest = write(tmp_path / "set" / "two.csv", rows)
    options = {"data.tiles": 5, "probe.steps": 25}
    found = probed("wholeslide", manifest, tmp_path / "mil", task="mil", overrides=options)
    assert {"mil/accuracy", "mil/auc", "mil/macro_f1"} <= set(found["metrics"])
    assert 0 <= found["metrics"]["mil/auc"]["value"] <= 1 and found["details"]["mil"][0]["step"] <= 25
    vectors = {}
    for level in ("item", "window"):
        out = tmp_path / f"{level}.parquet"
        words = {"encoder": "random", "domain": "wholeslide", "manifest": manifest, "out": out, "level": level}
        api.embed(**words, overrides={**TINY, "data.tiles": 5})
        vectors[level] = pq.read_table(out).to_pylist()
    tiles = Counter(row["id"] for row in vectors["window"])
    assert set(tiles) == {row["id"] for row in vectors["item"]} and max(tiles.values()) == 5
    for slide in vectors["item"]:
        own = [row["vector"] for row in vectors["window"] if row["id"] == slide["id"]]
        np.testing.assert_allclose(slide["vector"], np.mean(own, axis=0), atol=1e-5)


def test_recordings_are_cross_validated_by_a_fold_column(tmp_path: Path) -> None:
    """Every recording is tested once, in its own fold; several labels may be known in part."""
    from ssl_platform_audio.sample import write_sample_set

    rows = table(write_sample_set(tmp_path / "set", items=24))
    for at, row in enumerate(rows):
        row.pop("split")
        row["fold"] = str(int(row["group"].removeprefix("site")) % 3 + 1)
        rises, ends = row["label"] in ("rising", "arching"), row["label"] in ("rising", "dipping")
        row |= {"first": str(int(rises)), "second": "" if at % 8 == 0 else str(int(ends))}
    manifest = write(tmp_path / "set" / "folds.csv", rows)
    found = probed("audio", manifest, tmp_path / "run", "linear")
    assert len(found["details"]["linear"]) == 3
    in_turn = [row["path"] for fold in "123" for row in rows if row["fold"] == fold]
    assert [r["id"] for r in table(tmp_path / "run" / "predictions_linear.csv")] == in_turn
    keys = {**TINY, "finetune.fold": "all", "finetune.steps": 2}
    made = api.finetune(encoder="random", domain="audio", manifest=manifest, run=tmp_path / "tuned", overrides=keys)
    assert [r["id"] for r in table(tmp_path / "tuned" / "predictions_finetune.csv")] == in_turn
    assert made["metrics"]["finetune/accuracy"]["ci_over"] == "groups" and made["steps"] == 6
    models = [json.loads(Path(path).with_name("model.json").read_text()) for path in made["paths"]["models"]]
    for fold, model in zip("123", models, strict=True):
        others = sum(row["fold"] != fold for row in rows)
        assert others / 2 < len(model["training"]["items"]) < others  # the rest is for validation
    several = {"labels.label": ["first", "second"]}
    found = probed("audio", manifest, tmp_path / "several", "svm", overrides=several)
    assert found["task"] == "multi-label"
    assert {f"svm/{name}" for name in ("map", "map_micro", "auc")} == set(found["metrics"])


def test_scenes_have_several_labels_and_are_retrieved(tmp_path: Path) -> None:
    """Labels joined by `|`; what is retrieved lies in another place than what it was asked for with."""
    from ssl_platform_multispectral.fields import write_sample_set

    rows = table(write_sample_set(tmp_path / "set", places=12))
    for at, row in enumerate(rows):
        row["label"] = row["label"] + ("|cloudy" if at % 3 == 0 else "")
        row.pop("mask", None)
    manifest = write(tmp_path / "set" / "labels.csv", rows)
    found = probed("multispectral", manifest, tmp_path / "run", "retrieval,linear")
    assert found["task"] == "multi-label"
    details = found["details"]["retrieval"]
    assert all(part["own_group"] == "excluded" for part in details)
    assert {"retrieval/map", "retrieval/recall@1", "linear/map", "linear/map_micro"} <= set(found["metrics"])
    assert 0 < found["metrics"]["retrieval/map"]["value"] <= 1


def test_clouds_are_told_from_few_and_cut_into_parts(tmp_path: Path) -> None:
    """Linear SVM, episodes, and parts: trained, scored, predicted for new files, and read back."""
    from ssl_platform_pointcloud.sample import write_sample_set

    manifest = write_sample_set(tmp_path / "set", items=24)
    episodes = {"probe.episodes": 20, "probe.shots": 2, "probe.ways": 3}
    found = probed("pointcloud", manifest, tmp_path / "probe", "svm,fewshot", overrides=episodes)
    assert found["metrics"]["fewshot/accuracy"]["ci_over"] == "episodes"
    assert {"svm/accuracy", "svm/macro_f1", "svm/auc"} <= set(found["metrics"])
    labelled = [row for row in table(manifest) if Path(row["path"]).suffix in (".ply", ".pcd", ".laz", ".csv")]
    manifest = write(tmp_path / "set" / "parts.csv", [{k: r[k] for k in ("path", "group", "split")} for r in labelled])
    keys = {
        **TINY,
        "finetune.steps": 24,
        "finetune.eval_every": 24,
        "finetune.width": 4,
        "data.window": [256],
        "backbone.groups": 24,
    }
    made = api.finetune(
        encoder="random",
        domain="pointcloud",
        manifest=manifest,
        labels="field:label",
        run=tmp_path / "parts",
        overrides=keys,
    )
    assert made["task"] == "segmentation" and made["loss"]["last"] < made["loss"]["first"]
    assert {"finetune/instance_miou", "finetune/miou", "finetune/dice"} <= set(made["metrics"])
    told = api.predict(
        model=tmp_path / "parts", manifest=manifest, labels="field:label", out=tmp_path / "out", overrides={}
    )
    assert {"predict/instance_miou", "predict/miou"} <= set(told["metrics"])
    written = table(tmp_path / "out" / "predictions.csv")
    assert len(written) == len(labelled)
    with np.load(tmp_path / "out" / written[0]["file"]) as stored:
        assert stored["points"].shape == (len(stored["labels"]), 3) and set(stored["labels"]) <= {0, 1, 2, 3}
    api.export(model=tmp_path / "parts", out=tmp_path / "export")
    net = torch.export.load(str(tmp_path / "export" / "model.pt2")).module()
    config = configure("predict", manifest=str(manifest), domain="pointcloud")
    follow(config, load_model(tmp_path / "parts")[1].encoder)
    data = open_data(config)
    maker = clean_maker(config, data, (256,))
    files = {item["id"]: tmp_path / "out" / item["file"] for item in written}
    for row in data.rows[:6]:
        found = segment(Exported(net, 4), maker, data.domain, row, (256,), device=torch.device("cpu"))
        again = data.domain.write_prediction(row, found, tmp_path / "again")
        with np.load(again) as ours, np.load(files[row.id]) as theirs:
            assert np.array_equal(ours["points"], theirs["points"])
            assert np.mean(ours["labels"] == theirs["labels"]) > 0.999  # ties may fall otherwise


class Exported:
    """An exported model as `segment` asks for one: cells without data are NaN, and nothing but values goes in."""

    def __init__(self, net: Any, outputs: int) -> None:
        self.net, self.task = net, Task("segmentation", tuple(map(str, range(outputs))))

    def __call__(self, view: View) -> torch.Tensor:
        x = view.x if view.valid is None else view.x.masked_fill(~view.valid[..., None], torch.nan)
        return self.net(x)["output"]


@pytest.mark.slow
def test_parts_are_learnt(tmp_path: Path) -> None:
    """200 steps from random weights: far above one part for all points (instance mIoU at most 1/4)."""
    from ssl_platform_pointcloud.sample import write_sample_set

    write_sample_set(tmp_path / "set", items=48)
    made = api.finetune(
        encoder="random",
        domain="pointcloud",
        data=tmp_path / "set" / "clouds",
        labels="field:label",
        run=tmp_path / "parts",
        overrides={"finetune.steps": 200},
    )
    assert made["metrics"]["finetune/instance_miou"]["value"] > 0.6
