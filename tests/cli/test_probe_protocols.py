"""`ssl-platform probe` under the protocols on frozen features, from the command line to the files of the run."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ssl_platform.cli.main import main
from ssl_platform.encoder import load_encoder
from ssl_platform.transfer import probe as command

Write = Callable[..., Path]
SMALL = ("probe.steps=20", "probe.heads=2", "probe.views=1", "probe.episodes=20", "probe.shots=2")
RANDOM = ("--encoder", "random", "domain=toy", "backbone.dim=24", "backbone.depth=1", "backbone.heads=2")


def probed(*words: object) -> int:
    return main(["probe", *map(str, words)])


def result(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "result.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Forty small volumes of two classes whose mean differs, split 20/8/12; the manifest."""
    folder = tmp_path / "many"
    folder.mkdir()
    rng, lines = np.random.default_rng(0), ["path,label,split"]
    for i in range(40):
        np.save(folder / f"item{i}.npy", (rng.normal(size=(16, 16, 16)) + 0.6 * (i % 2)).astype(np.float32))
        part = "train" if i < 20 else "val" if i < 28 else "test"
        lines.append(f"item{i}.npy,{'bright' if i % 2 else 'dark'},{part}")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


def test_every_protocol_on_features_of_items(toy_encoder: Write, many: Path, tmp_path: Path) -> None:
    names = "linear-layers,linear-sgd,svm,fewshot,clustering,anomaly"
    words = (*RANDOM, "--manifest", many, "--protocol", names, "--run", tmp_path / "run")
    assert probed(*words, *SMALL, "probe.costs=[0.01,1]") == 0
    found = result(tmp_path / "run")
    over = {name: metric["ci_over"] for name, metric in found["metrics"].items()}
    value = {name: metric["value"] for name, metric in found["metrics"].items()}
    details = {name: rounds[0] for name, rounds in found["details"].items()}
    assert value["linear-layers/auc"] > 0.9 and value["anomaly/auroc_mahalanobis"] > 0.5
    assert details["linear-layers"]["features"] in details["linear-layers"]["validation"]
    assert {"pooled", "block.0/cls", "block.0/mean", "block.0/max"} == set(details["linear-sgd"]["validation"])
    assert set(details["svm"]["validation"]) == {"0.01", "1"} and details["svm"]["C"] in (0.01, 1)
    assert details["fewshot"]["classifier"] == "logistic" and over["fewshot/accuracy"] == "episodes"
    assert {f"clustering/{n}{end}" for n in ("accuracy", "nmi", "ari") for end in ("", "_kmeans")} <= set(value)
    assert details["anomaly"]["anomaly"] == ["dark"] and details["anomaly"]["normal_items"] == [14]
    with (tmp_path / "run" / "predictions_clustering.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 and set(rows[0]) == {"id", "scan", "kmeans"}


def test_no_protocol_writes_to_the_encoder(
    toy_encoder: Write, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Episodes and clusters are fitted to what it gives; its parameters and buffers stay as they were read."""
    used, opening = [], command.open_transfer

    def watched(*given: Any, **keys: Any) -> Any:
        used.append(opening(*given, **keys))
        return used[-1]

    monkeypatch.setattr(command, "open_transfer", watched)
    encoder = toy_encoder()
    words = ("--encoder", encoder, "--manifest", many, "--protocol", "fewshot,clustering")
    assert probed(*words, "--run", tmp_path / "run", *SMALL) == 0
    state, before = used[0].encoder.model.state_dict(), load_encoder(encoder).model.state_dict()
    assert state.keys() == before.keys() and all(torch.equal(state[name], before[name]) for name in state)


def test_a_draw_is_that_of_labels_fraction(toy_encoder: Write, many: Path, tmp_path: Path) -> None:
    """`semi-supervised` with one draw is `linear` with `labels.fraction` and `labels.draw`."""
    words = (*RANDOM, "--manifest", many)
    assert probed(*words, "--protocol", "semi-supervised", "--run", tmp_path / "a", "probe.draws=[3]") == 0
    drawn = ("labels.fraction=0.1", "labels.draw=3")
    assert probed(*words, "--protocol", "linear", "--run", tmp_path / "b", *drawn) == 0
    one, other = (result(tmp_path / name)["metrics"] for name in "ab")
    for metric in ("accuracy", "auc"):
        assert one[f"semi-supervised/{metric}@10%"]["value"] == other[f"linear/{metric}"]["value"]


def test_labels_saved_beside_random_weights(toy_encoder: Write, many: Path, tmp_path: Path) -> None:
    words = ("--encoder", toy_encoder(seed=1), "--manifest", many, "--protocol", "semi-supervised,label-utility")
    keys = ("probe.draws=[0,1]", "probe.fractions=[0.5]", "probe.counts=[4,20]")
    assert probed(*words, "--run", tmp_path / "run", *keys) == 0
    found = result(tmp_path / "run")
    over = {name: metric["ci_over"] for name, metric in found["metrics"].items()}
    details = {name: rounds[0] for name, rounds in found["details"].items()}
    assert over["semi-supervised/accuracy@50%"] == over["label-utility/accuracy@20"] == "label draws"
    assert details["semi-supervised"]["labels"] == {"50%": [10, 10]}
    assert details["label-utility"]["beside"] == "random weights, frozen"
    assert [f"label-utility/utility@{n}" for n in (4, 20)] == [name for name in over if "utility@" in name]


def test_labels_saved_beside_runs_from_scratch(toy_encoder: Write, many: Path, tmp_path: Path) -> None:
    for count in (4, 20):
        words = ["finetune", "--encoder", "random", "domain=toy", "--manifest", str(many), f"labels.count={count}"]
        small = ["backbone.dim=24", "backbone.depth=1", "backbone.heads=2", "finetune.steps=4"]
        assert main([*words, *small, "--run", str(tmp_path / f"scratch{count}")]) == 0
    runs = f"probe.scratch=[{tmp_path / 'scratch4'},{tmp_path / 'scratch20'}]"
    words = ("--encoder", toy_encoder(), "--manifest", many, "--protocol", "label-utility")
    assert probed(*words, "--run", tmp_path / "run", runs, "probe.counts=[4,20]", "probe.draws=[0,1]") == 0
    found = result(tmp_path / "run")
    told = found["details"]["label-utility"][0]
    assert told["beside"] == "2 runs of finetune from scratch" and set(told["censored"]) <= {"4", "20"}
    assert {"label-utility/utility@4", "label-utility/utility@20"} <= set(found["metrics"])


def test_boxes_around_objects_with_masks_and_without(toy_encoder: Write, toy_masks: Path, tmp_path: Path) -> None:
    encoder = toy_encoder()
    assert (
        probed("--encoder", encoder, "--manifest", toy_masks, "--task", "object-discovery", "--run", tmp_path / "a")
        == 0
    )
    found = result(tmp_path / "a")
    wanted = {f"{figure}_{name}" for figure in ("corloc", "iou") for name in ("lost", "tokencut", "centre")}
    assert {f"object-discovery/{name}" for name in (*wanted, "agreement")} == set(found["metrics"])
    boxes = json.loads((tmp_path / "a" / "boxes_object-discovery.json").read_text(encoding="utf-8"))["rounds"][0]
    assert boxes["unit"] == "mm" and len(boxes["windows"]) == 2
    for window in boxes["windows"]:
        for name in ("lost", "tokencut"):
            low, high = np.array(window[name])
            assert (low >= 0).all() and (high <= 32).all() and (low < high).all()  # 16 cells of 2 mm
    bare = tmp_path / "bare"
    bare.mkdir()
    for i in range(3):
        (bare / f"item{i}.npy").write_bytes((toy_masks.parent / f"item{i}.npy").read_bytes())
    assert probed("--encoder", encoder, "--data", bare, "--protocol", "object-discovery", "--run", tmp_path / "b") == 0
    found = result(tmp_path / "b")
    assert set(found["metrics"]) == {"object-discovery/agreement"} and found["task"] == "none"
    boxes = json.loads((tmp_path / "b" / "boxes_object-discovery.json").read_text(encoding="utf-8"))["rounds"][0]
    assert len(boxes["windows"]) == 3
