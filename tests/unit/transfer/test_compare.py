"""Comparisons: only what was measured alike, always beside random weights, differences paired."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssl_platform import api
from ssl_platform.errors import ConfigError, PluginError, UsageError
from ssl_platform.transfer.comparison import Comparison, Table
from ssl_platform.transfer.comparison_text import aligned, markdown
from ssl_platform.transfer.intervals import over_seeds
from ssl_platform.types import Metric

Write = Callable[..., Path]


def finished(folder: Path, value: float, **changes: Any) -> Path:
    folder.mkdir()
    result = {
        "command": "probe",
        "status": "done",
        "data_id": "d1",
        "split_id": "s1",
        "labels_unit": "item",
        "metrics": {
            "knn/accuracy": {"value": value, "ci95": [value - 0.1, value + 0.1], "ci_over": "groups"},
            "linear/accuracy": {"value": 0.5, "ci95": None, "ci_over": None},
        },
        "baselines": {"knn/accuracy": {"random": {"value": 0.25, "ci95": None, "ci_over": None}}},
        **changes,
    }
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def test_finished_runs_are_put_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [finished(tmp_path / "a", 0.5), finished(tmp_path / "b", 0.75)]
    result = api.compare(runs=runs, overrides={"run": str(tmp_path / "out")})
    assert result["status"] == "done" and result["data_id"] == "d1" and result["split_id"] == "s1"
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["a", "knn/accuracy", "0.500", "[0.400,", "0.600]", "random", "0.250", "+0.250", "groups"] in shown
    assert ["b", "linear/accuracy", "0.500"] in shown
    rows = list(csv.DictReader((tmp_path / "out" / "compare.csv").open()))
    assert [(r["run"], r["metric"], float(r["value"])) for r in rows[:2]] == [
        ("a", "knn/accuracy", 0.5),
        ("b", "knn/accuracy", 0.75),
    ]
    page = (tmp_path / "out" / "compare.md").read_text()
    assert "| b | knn/accuracy | 0.750 [0.650, 0.850] | random 0.250 | +0.500 | groups |" in page
    assert len(json.loads((tmp_path / "out" / "compare.json").read_text())["rows"]) == 4
    only = api.compare(runs=runs, protocol="linear", overrides={"run": str(tmp_path / "linear")})
    assert {row["metric"] for row in only["rows"]} == {"linear/accuracy"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"split_id": "s2"}, "a and b were measured on another split: split_id s1 and s2"),
        ({"data_id": "d2"}, "a and b were measured on other data: data_id d1 and d2"),
        ({"labels_unit": "group"}, "a and b were measured on other units: labels_unit item and group"),
        ({"details": {"finetune": {"fold": 1}}}, "a and b were measured on other rounds: finetune.fold all and 1"),
        ({"status": "running"}, "is running, not done"),
        ({"command": "embed"}, "is a run of embed"),
    ],
)
def test_what_was_measured_unlike_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    every = {"finetune": {"fold": "all"}}
    runs = [finished(tmp_path / "a", 0.5, details=every), finished(tmp_path / "b", 0.75, **changes)]
    with pytest.raises(UsageError, match=words):
        api.compare(runs=runs, overrides={"run": str(tmp_path / "out")})
    assert not (tmp_path / "out").exists()


def test_encoders_are_measured_beside_random_weights(
    toy_encoder: Write, toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [toy_encoder("a", seed=1), toy_encoder("b", seed=2)]
    where = {"data.manifest": str(toy_data), "compare.seeds": 2, "run": str(tmp_path / "out")}
    result = api.compare(runs=[*runs, "random"], protocol="knn", overrides=where)
    rows = {(row["run"], row["metric"]): row for row in result["rows"]}
    assert {run for run, _ in rows} == {"a", "b"} and result["measured"]
    row = rows["a", "knn/accuracy"]
    assert row["seeds"] == 2 and row["beside"]["ci_over"] == row["difference"]["ci_over"] == "evaluation seeds"
    assert row["value"]["ci_over"] == "groups"  # one frozen encoder, nothing drawn: seeds change nothing
    assert row["beside"] == rows["b", "knn/accuracy"]["beside"]  # measured once for both
    # the same numbers as `probe` gives, encoder and baseline
    for seed in (0, 1):
        alone = api.probe(
            encoder=runs[0], manifest=toy_data, protocol="knn", run=tmp_path / f"p{seed}", overrides={"seed": seed}
        )
        assert alone["metrics"]["knn/accuracy"]["value"] == row["value"]["value"]
        where[f"random {seed}"] = alone["baselines"]["knn/accuracy"]["random"]["value"]
    randoms = [where["random 0"], where["random 1"]]
    assert row["beside"]["value"] == pytest.approx(np.mean(randoms))
    expected = over_seeds([row["value"]["value"] - value for value in randoms], "evaluation seeds")
    assert row["difference"]["value"] == pytest.approx(expected.value)
    assert row["difference"]["ci95"] == pytest.approx(expected.ci95)
    assert "knn/accuracy" in capsys.readouterr().out


def test_an_encoder_without_training_differs_by_nothing(toy_encoder: Write, toy_data: Path, tmp_path: Path) -> None:
    """Paired over groups: the same weights as the baseline's give exactly 0 with an interval of no width."""
    overrides = {"data.manifest": str(toy_data), "run": str(tmp_path / "out"), "seed": 3}
    result = api.compare(runs=[toy_encoder("a", seed=3)], protocol="linear", overrides=overrides)
    for row in result["rows"]:
        assert row["difference"]["value"] == 0 and row["difference"]["ci95"] in ([0.0, 0.0], None)


def test_fine_tuning_is_compared_with_training_from_scratch(toy_encoder: Write, toy_data: Path, tmp_path: Path) -> None:
    overrides = {
        "data.manifest": str(toy_data),
        "run": str(tmp_path / "out"),
        "finetune.steps": 2,
        "finetune.batch_size": 2,
        "data.workers": 0,
    }
    result = api.compare(runs=[toy_encoder("a", seed=3)], protocol="finetune", overrides=overrides)
    assert {row["baseline"] for row in result["rows"]} == {"scratch"}
    assert {row["metric"] for row in result["rows"]} >= {"finetune/accuracy"}


def test_one_line_errors(toy_encoder: Write, tmp_path: Path) -> None:
    a, b = toy_encoder("a"), toy_encoder("b")
    for run, path in ((a, "x"), (b, "y")):
        (run / "config.yaml").write_text(f"data: {{paths: [{path}]}}\n")
    with pytest.raises(ConfigError, match=r"have different data: name what to measure on with data.paths"):
        api.compare(runs=[a, b], labels="folders")
    with pytest.raises(PluginError, match=r"did you mean .knn."):
        api.compare(runs=[a], labels="folders", protocol="knnn")
    with pytest.raises(UsageError, match=r"no result\.json"):
        api.compare(runs=[a])
    with pytest.raises(UsageError, match="no such run folder"):
        api.compare(runs=[tmp_path / "absent"], labels="folders")
    with pytest.raises(UsageError, match="name a run to compare it with"):
        api.compare(runs=["random"])


def test_the_same_table_in_every_form() -> None:
    row = Comparison("a|b", "knn/auc", Metric(0.5), "random", Metric(0.25), Metric(0.25, (0.1, 0.4), "groups"))
    assert "| a\\|b | knn/auc | 0.500 | random 0.250 | +0.250 [+0.100, +0.400] | groups |" in markdown(Table([row]))
    head, line = aligned([row])
    assert head.index("difference") == line.index("+0.250")


def test_labels_drawn_are_those_of_the_draw_whatever_the_seed(toy_encoder: Write, toy_data: Path) -> None:
    from ssl_platform.config.schema import RunConfig
    from ssl_platform.transfer.cells import seeded
    from ssl_platform.transfer.opening import open_transfer

    encoder = str(toy_encoder("a"))

    def opened(seed: int, draw: int = 0) -> Any:
        labels = {"count": 2, "draw": draw}
        data = {"manifest": str(toy_data)}
        return open_transfer(
            RunConfig.model_validate({"encoder": encoder, "data": data, "labels": labels, "seed": seed})
        )

    first = opened(0)
    assert (first.codes == opened(7).codes).all()
    assert (seeded(first, 0).codes == first.codes).all()
    assert (seeded(first, 1).codes == opened(0, draw=1).codes).all() and (seeded(first, 1).codes != first.codes).any()


def test_cross_validated_models_are_compared_over_all_rounds(
    toy_encoder: Write, toy_data: Path, tmp_path: Path
) -> None:
    """The table of finished runs holds what they hold; measured anew, the same figures beside those from scratch."""
    names = [row["path"] for row in csv.DictReader(toy_data.open())]
    folds = toy_data.with_name("folds.csv")
    labels = [f"{name},{'ab'[i % 2]},{i // 4}" for i, name in enumerate(names)]
    folds.write_text("\n".join(["path,label,fold", *labels]) + "\n")
    keys = {"finetune.steps": 1, "finetune.batch_size": 4, "finetune.fold": "all", "views.off": ["gain"]}
    runs = []
    for seed in (1, 2):
        runs.append(tmp_path / f"run{seed}")
        api.finetune(encoder=toy_encoder(f"e{seed}", seed=seed), manifest=folds, run=runs[-1], overrides=keys)
    told = [json.loads((run / "result.json").read_text())["metrics"]["finetune/accuracy"]["value"] for run in runs]
    table = api.compare(runs=runs, overrides={"run": str(tmp_path / "table")})
    found = {row["run"]: row["value"]["value"] for row in table["rows"] if row["metric"] == "finetune/accuracy"}
    assert found == {"run1": told[0], "run2": told[1]}
    where = {**keys, "data.manifest": str(folds), "run": str(tmp_path / "anew")}
    anew = api.compare(runs=runs[:1], protocol="finetune", overrides=where)
    (row,) = (row for row in anew["rows"] if row["metric"] == "finetune/accuracy")
    assert row["value"]["value"] == told[0] and row["baseline"] == "scratch"
    assert row["difference"]["value"] == pytest.approx(told[0] - row["beside"]["value"])
    assert row["difference"]["ci_over"] == "groups"
