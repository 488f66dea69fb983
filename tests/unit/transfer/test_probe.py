"""`probe`: protocols are looked up by name, those of plugins too, and get the features they ask for."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssl_platform import api
from ssl_platform.errors import ConfigError, PluginError

Write = Callable[..., Path]

PROTOCOL = """
import numpy as np
from ssl_platform.plugins import ProtocolDeclaration, hookimpl

SSL_PLATFORM_API = 1


@hookimpl
def ssl_platform_protocols():
    return [ProtocolDeclaration(name="constant", factory="plugin_acme_constant:constant")]


def constant(splits, task, budget):
    assert splits.train.features.ndim == 2
    return splits.final(lambda features: np.eye(len(task.classes))[np.zeros(len(features), int)], {"seed": budget.seed})
"""


def probed(encoder: Path, data: Path, run: Path, protocol: str | None = None, **words: Any) -> dict[str, Any]:
    return api.probe(encoder=encoder, manifest=data, run=run, protocol=protocol, **words)


def test_a_name_of_no_protocol_is_told_the_nearest(toy_encoder: Write, toy_data: Path, tmp_path: Path) -> None:
    encoder = toy_encoder()
    with pytest.raises(
        PluginError, match=r"unknown protocol 'lineer' \(did you mean 'linear'\?\); known: .*knn, .*linear"
    ):
        probed(encoder, toy_data, tmp_path / "run", "knn,lineer")
    with pytest.raises(PluginError, match=r"unknown task 'retreival' \(did you mean 'retrieval'\?\)"):
        probed(encoder, toy_data, tmp_path / "run", task="retreival")
    assert not (tmp_path / "run").exists()


def test_a_protocol_of_a_plugin_runs_beside_the_core_s(
    toy_encoder: Write, toy_data: Path, tmp_path: Path, install: Callable[..., str]
) -> None:
    install("acme-constant", PROTOCOL)
    found = probed(toy_encoder(), toy_data, tmp_path / "run", "constant,knn", overrides={"seed": 4})
    assert found["metrics"]["constant/balanced_accuracy"]["value"] == 0.5
    assert found["baselines"]["constant/accuracy"]["random"]["value"] == found["metrics"]["constant/accuracy"]["value"]
    assert found["details"]["constant"][0] == {"seed": 4} and "k" in found["details"]["knn"][0]


def test_a_protocol_that_does_not_suit_the_labels(
    toy_encoder: Write, toy_data: Path, toy_masks: Path, tmp_path: Path
) -> None:
    encoder = toy_encoder()
    with pytest.raises(ConfigError, match=r"--protocol knn: is for .* the labels are masks: .*use finetune"):
        probed(encoder, toy_masks, tmp_path / "run", "knn")
    table = toy_data.with_name("numbers.csv")
    table.write_text("path,label\n" + "".join(f"item{i}.npy,{i / 3:.3f}\n" for i in range(8)))
    with pytest.raises(ConfigError, match=r"--protocol retrieval: .* of regression: protocols for it: attentive, knn"):
        probed(encoder, table, tmp_path / "run", task="retrieval")


def test_retrieval_leaves_the_query_s_group_out(toy_encoder: Write, toy_data: Path, tmp_path: Path) -> None:
    found = probed(toy_encoder(), toy_data, tmp_path / "run", task="retrieval")
    assert set(found["metrics"]) == {f"retrieval/{name}" for name in ("map", "recall@1", "recall@5", "recall@10")}
    assert all(part["own_group"] == "excluded" for part in found["details"]["retrieval"])
    assert sum(part["queries"] for part in found["details"]["retrieval"]) == 8
    with (tmp_path / "run" / "predictions_retrieval.csv").open() as file:
        rows = list(csv.DictReader(file))
    value = found["metrics"]["retrieval/map"]["value"]
    assert value == pytest.approx(np.mean([float(row["map"]) for row in rows]), abs=1e-5)
    stored = json.loads((tmp_path / "run" / "result.json").read_text())
    assert stored["metrics"]["retrieval/map"]["ci_over"] == "groups"


def test_bags_of_windows_are_pooled_by_attention(toy_encoder: Write, toy_data: Path, tmp_path: Path) -> None:
    found = probed(toy_encoder(), toy_data, tmp_path / "run", "mil,knn,attentive,svm", overrides={"probe.steps": 25})
    assert {"mil/accuracy", "mil/auc", "knn/auc", "attentive/auc", "svm/macro_f1"} <= set(found["metrics"])
    assert found["details"]["mil"][0]["step"] <= 25
