"""`ssl-platform analyze`: every measure beside random weights, what does not fit in one line, the test split shut."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssl_platform import api
from ssl_platform.cli.main import main

Write = Callable[..., Path]
Capture = pytest.CaptureFixture[str]

LAYER = {
    "effective_rank",
    "knn_accuracy",
    "cluster_purity",
    "cluster_nmi",
    "cluster_ari",
    "norm_outliers",
    "largest_norm",
    "token_similarity",
    "high_frequency",
    "attention_distance",
    "attention_nmi",
    "offset_heads",
}


def analysed(run: Path, *words: str | Path) -> list[dict[str, Any]]:
    assert main(["analyze", "--run", str(run), *map(str, words)]) == 0
    found: list[dict[str, Any]] = json.loads((run / "analysis.json").read_text())["rows"]
    return found


def one(rows: list[dict[str, Any]], encoder: str, measure: str, at: str, kind: str = "pair") -> dict[str, Any]:
    (found,) = [r for r in rows if (r["encoder"], r["measure"], r["at"], r["kind"]) == (encoder, measure, at, kind)]
    return found


def test_two_encoders_on_labelled_volumes(toy_encoder: Write, toy_data: Path, tmp_path: Path, capsys: Capture) -> None:
    a, run = toy_encoder("a", seed=1), tmp_path / "run"
    shutil.copytree(a, tmp_path / "twin")
    rows = analysed(run, "--encoder", a, "--encoder", tmp_path / "twin", "--manifest", toy_data)
    told = capsys.readouterr().out
    assert "a: by layer" in told and "(random weights in brackets)" in told and f"analysis {run}" in told

    of_layers = {r["measure"] for r in rows if r["kind"] == "layer" and r["encoder"] == "a"}
    assert of_layers == LAYER
    for measure in LAYER - {"attention_distance", "attention_nmi", "offset_heads"}:
        assert {r["at"] for r in rows if r["measure"] == measure and r["kind"] == "layer"} == {"block 0", "output"}
    for row in rows:
        if row["encoder"] in ("a", "twin"):
            assert row["random"] is not None or row["value"] is None, "each beside the same for random weights"
            twin = one(rows, "twin", row["measure"], row["at"], row["kind"])
            assert twin["value"] == pytest.approx(row["value"], rel=1e-5, abs=1e-6), "equal weights, equal numbers"

    assert one(rows, "a ~ twin", "cka", "output")["value"] == pytest.approx(1.0)
    assert one(rows, "a ~ twin", "cka", "output")["random"] < 1.0, "two drawings of random weights"
    assert one(rows, "a ~ its random weights", "cka", "block 0")["random"] is None
    matrix = one(rows, "a ~ twin", "cka", "output")["parts"]
    assert np.shape(matrix["matrix"]) == (2, 2) and matrix["rows"] == ["block 0", "output"]

    changes = {r["at"] for r in rows if r["measure"] == "invariance" and r["kind"] == "transformation"}
    assert changes == {"gain"}, "what the layout names and changes values"
    robust = {r["at"] for r in rows if r["measure"] == "linear_accuracy" and r["kind"] == "corruption"}
    assert robust == {"clean", "gain x1", "gain x2"}
    assert {r["at"] for r in rows if r["kind"] == "move"} == {"flip:W (symmetry)", "rot90:HW"}

    result = json.loads((run / "result.json").read_text())
    assert result["status"] == "done" and result["data_id"]
    metric = result["metrics"]["a: calibration_error"]
    assert 0 <= metric["value"] <= 1 and metric["ci95"][0] <= metric["value"] <= metric["ci95"][1]
    assert "random" in result["baselines"]["a: effective_rank"]
    assert (run / "catalog.parquet").exists()

    page = (run / "report.html").read_text()
    assert "What the representation knows" in page and "a ~ twin: alike (CKA)" in page
    nameless = api.report(run=run, anonymous=True).read_text()
    assert "encoder 1 ~ encoder 2: alike (CKA)" in nameless and "twin" not in nameless


def test_a_convnet_without_labels(toy_encoder: Write, toy_data: Path, tmp_path: Path, capsys: Capture) -> None:
    encoder, bare = toy_encoder("net", backbone="convnet-tiny"), toy_data.parent
    toy_data.unlink()
    words = ("analyze.transformed=8", "analyze.measures=[spread,knn,attention,calibration,tokens,equivariance]")
    rows = analysed(tmp_path / "run", "--encoder", encoder, "--data", bare, *words)
    told = capsys.readouterr().out
    assert "net: no attention: the backbone convnet-tiny shows no attention" in told
    assert "net: no knn: there are no labels (--labels)" in told and "net: no calibration: there are no labels" in told
    unfit = json.loads((tmp_path / "run" / "analysis.json").read_text())["unfit"]
    assert set(unfit["net"]) == {"knn", "attention", "calibration"}
    stages = [r["at"] for r in rows if r["measure"] == "effective_rank" and r["kind"] == "layer"]
    assert stages[0] == "stage 0" and stages[-1] == "output", "layers are stages of its pyramid"
    assert all(r["random"] is not None for r in rows)


def test_random_weights_have_nothing_beside_them(toy_encoder: Write, toy_data: Path, tmp_path: Path) -> None:
    toy_encoder()
    words = ("domain=toy", "backbone.dim=24", "backbone.depth=1", "backbone.heads=2", "analyze.measures=[spread,cka]")
    rows = analysed(tmp_path / "run", "--encoder", "random", "--manifest", toy_data, *words)
    assert rows and all(r["random"] is None and r["encoder"] == "random" for r in rows)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--encoder", "A", "analyze.measures=[atention]"], "no analysis 'atention' (did you mean 'attention'?)"),
        (["--encoder", "A", "--encoder", "A"], "given twice"),
        (["--encoder", "A", "optim.lr=1"], "optim.lr is a key of pretrain"),
        (["--encoder", "missing"], "missing: no such run folder or encoder file"),
    ],
)
def test_one_line_before_anything_is_computed(
    words: list[str], message: str, toy_encoder: Write, toy_data: Path, tmp_path: Path, capsys: Capture
) -> None:
    encoder = str(toy_encoder())
    given = [encoder if word == "A" else word for word in words]
    assert main(["analyze", "--manifest", str(toy_data), "--run", str(tmp_path / "run"), *given]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and message in error[0]
    assert not (tmp_path / "run").exists()
