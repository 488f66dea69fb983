"""`ssl-platform compare`: runs, protocols and seeds in one table, beside baselines, with paired differences."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ssl_platform.cli.main import main
from ssl_platform.testing.evaluation_folder import write_evaluation
from ssl_platform.transfer.metrics import accuracy

Capture = pytest.CaptureFixture[str]
SEEDS = (0, 1, 2)


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two methods under three pretraining seeds by kNN and fine-tuning, random weights, and training from scratch."""
    made = []
    for seed in SEEDS:
        for method, skill in (("mae", 1.2), ("dino", 2.0)):
            encoder = tmp_path / "pre" / f"{method}-{seed}"
            made.append(write_evaluation(tmp_path / f"{method}-seed{seed}", skill=skill, seed=seed, encoder=encoder))
            tuned = tmp_path / f"{method}-tuned-seed{seed}"
            made.append(write_evaluation(tuned, skill=skill + 1, seed=seed, encoder=encoder, command="finetune"))
        made.append(write_evaluation(tmp_path / f"untrained{seed}", skill=0.3, seed=seed))
        made.append(write_evaluation(tmp_path / f"labels-only{seed}", skill=1.0, seed=seed, command="finetune"))
    return made


def compared(tmp_path: Path, runs: list[Path], *words: str) -> dict[str, Any]:
    out = tmp_path / "table"
    assert main(["compare", *map(str, runs), *words, f"run={out}"]) == 0
    found: dict[str, Any] = json.loads((out / "compare.json").read_text(encoding="utf-8"))
    return found


def value_of(folder: Path, metric: str) -> float:
    return float(json.loads((folder / "result.json").read_text(encoding="utf-8"))["metrics"][metric]["value"])


def test_runs_protocols_and_seeds_are_one_table_beside_both_baselines(tmp_path: Path, runs: list[Path]) -> None:
    found = compared(tmp_path, runs)
    rows = {(row["run"], row["metric"]): row for row in found["rows"]}
    assert {run for run, _ in rows} == {"mae", "mae-tuned", "dino", "dino-tuned", "random", "scratch"}
    row = rows["dino", "knn/accuracy"]
    metrics = {"dino-seed": "knn/accuracy", "untrained": "knn/accuracy", "labels-only": "finetune/accuracy"}
    of = {
        name: np.array([value_of(tmp_path / f"{name}{s}", metric) for s in SEEDS]) for name, metric in metrics.items()
    }
    assert row["seeds"] == 3 and row["value"]["ci_over"] == "pretraining seeds"
    assert row["value"]["value"] == pytest.approx(of["dino-seed"].mean())
    paired = stats.ttest_rel(of["dino-seed"], of["untrained"]).confidence_interval(0.95)
    assert row["difference"]["ci95"] == pytest.approx([paired.low, paired.high])
    assert row["baseline"] == "random" and row["beside"]["value"] == pytest.approx(of["untrained"].mean())
    assert row["scratch"]["value"] == pytest.approx(of["labels-only"].mean())
    over = stats.ttest_rel(of["dino-seed"], of["labels-only"]).confidence_interval(0.95)
    assert row["difference_scratch"]["ci95"] == pytest.approx([over.low, over.high])
    tuned = rows["dino-tuned", "finetune/accuracy"]
    assert tuned["baseline"] == "scratch" and tuned["scratch"] is None
    assert rows["random", "knn/accuracy"]["difference"] is None
    assert found["notes"] == []
    costs = {cost["run"]: cost for cost in found["costs"]}
    assert costs["dino"]["pretraining_steps"] == 2000 and costs["dino"]["pretraining_seconds"] == 601
    assert costs["dino"]["evaluation_seconds"] == 41 and costs["dino"]["parameters"] == 859136
    assert costs["scratch"]["pretraining_steps"] == 0 and costs["scratch"]["evaluation_steps"] == 300


def test_differences_between_runs_are_paired_by_seed_and_by_item(tmp_path: Path, runs: list[Path]) -> None:
    found = compared(tmp_path, runs, "--protocol", "knn")
    assert {one["metric"].split("/")[0] for one in (*found["rows"], *found["differences"])} == {"knn"}
    assert all(row["scratch"] is not None for row in found["rows"] if row["run"] != "random"), "although not shown"
    (pair,) = (p for p in found["differences"] if p["metric"] == "knn/accuracy")
    assert (pair["first"], pair["second"]) == ("mae", "dino")
    values = {m: [value_of(tmp_path / f"{m}-seed{s}", "knn/accuracy") for s in SEEDS] for m in ("mae", "dino")}
    paired = stats.ttest_rel(values["mae"], values["dino"]).confidence_interval(0.95)
    assert pair["difference"]["ci95"] == pytest.approx([paired.low, paired.high])
    # an independent bootstrap over pairs of items of one group, of the mean over seeds
    hits = {m: np.mean([hits_of(tmp_path / f"{m}-seed{s}") for s in SEEDS], axis=0) for m in values}
    by_group = (hits["mae"] - hits["dino"]).reshape(-1, 2).mean(axis=1)
    drawn = np.random.default_rng(7).choice(by_group, (20000, len(by_group))).mean(axis=1)
    expected = np.percentile(drawn, [2.5, 97.5])
    assert pair["difference_items"]["value"] == pytest.approx(by_group.mean())
    assert pair["difference_items"]["ci95"] == pytest.approx(expected, abs=0.02)
    assert pair["difference_items"]["ci_over"] == "groups"


def hits_of(folder: Path) -> np.ndarray:
    """`[n]` whether each item was predicted right."""
    rows = list(csv.reader((folder / "predictions_knn.csv").open(encoding="utf-8")))
    names = rows[0][2:]
    hits = [accuracy(np.array([names.index(r[1])]), np.array([[float(v) for v in r[2:]]])) for r in rows[1:]]
    return np.array(hits)


def test_runs_without_repeats_are_paired_by_item_alone(tmp_path: Path) -> None:
    same = [
        write_evaluation(tmp_path / name, encoder=tmp_path / "pre" / f"{name}-0", random=0.3) for name in ("a", "b")
    ]
    other = write_evaluation(tmp_path / "c", skill=3.0, encoder=tmp_path / "pre" / "c-0", random=0.3)
    pairs = {(p["first"], p["second"]): p for p in compared(tmp_path, [*same, other])["differences"]
             if p["metric"] == "knn/accuracy"}  # fmt: skip
    assert pairs["a", "b"]["difference"]["ci95"] == [0.0, 0.0]
    low, high = pairs["a", "c"]["difference"]["ci95"]
    assert low <= pairs["a", "c"]["difference"]["value"] <= high < 0 and pairs["a", "c"]["difference_items"] is None


def test_predictions_that_do_not_give_the_figure_again_are_not_paired(tmp_path: Path) -> None:
    runs = [write_evaluation(tmp_path / name, encoder=tmp_path / "pre" / f"{name}-0") for name in ("a", "b")]
    lines = (runs[0] / "predictions_knn.csv").read_text(encoding="utf-8").splitlines()
    (runs[0] / "predictions_knn.csv").write_text("\n".join(lines[:-9]) + "\n", encoding="utf-8")
    found = compared(tmp_path, runs)
    assert all(pair["difference"]["ci95"] is None for pair in found["differences"])


def test_what_is_missing_is_said(tmp_path: Path, capsys: Capture) -> None:
    run = write_evaluation(tmp_path / "a", encoder=tmp_path / "pre" / "a-0")
    found = compared(tmp_path, [run])
    assert len(found["notes"]) == 2 and found["rows"][0]["beside"] is None
    said = capsys.readouterr().out
    assert "no random initialisation under knn: ssl-platform probe --encoder random --protocol knn measures it" in said
    assert "no model trained from scratch with the labels: ssl-platform finetune --encoder random" in said


def test_budgets_of_labels_are_compared_apart(tmp_path: Path) -> None:
    few = {"labels_fraction": 0.1}
    runs = [
        write_evaluation(tmp_path / "all", skill=2, encoder=tmp_path / "pre" / "m-0", command="finetune"),
        write_evaluation(tmp_path / "few", skill=1, encoder=tmp_path / "pre" / "m-0", command="finetune", result=few),
        write_evaluation(tmp_path / "scratch-few", skill=0.5, command="finetune", result=few),
    ]
    rows = {r["run"]: r for r in compared(tmp_path, runs)["rows"] if r["metric"] == "finetune/accuracy"}
    assert rows["few"]["labels"] == "10 % of labels" and rows["few"]["beside"] is not None
    assert rows["all"]["labels"] is None and rows["all"]["beside"] is None, "scratch had a tenth of the labels"


def test_the_monitor_of_pretraining_is_no_probe(tmp_path: Path) -> None:
    run = write_evaluation(tmp_path / "pre0", result={"command": "pretrain", "encoder": None})
    assert {row["metric"].split("/")[0] for row in compared(tmp_path, [run])["rows"]} == {"monitor"}


def test_another_split_is_refused_by_name(tmp_path: Path, capsys: Capture) -> None:
    a = write_evaluation(tmp_path / "a", encoder=tmp_path / "pre" / "a-0")
    b = write_evaluation(tmp_path / "b", encoder=tmp_path / "pre" / "b-0", result={"split_id": "0ddba11"})
    assert main(["compare", str(a), str(b), f"run={tmp_path / 'table'}"]) == 2
    assert capsys.readouterr().err.startswith(
        "error: a and b were measured on another split: split_id 51aceb00 and 0ddba11; "
    )
    assert not (tmp_path / "table").exists()


@pytest.mark.parametrize("ending", ["md", "csv", "html"])
def test_the_table_goes_where_it_is_asked_for(tmp_path: Path, ending: str, capsys: Capture) -> None:
    run = write_evaluation(tmp_path / "a", encoder=tmp_path / "pre" / "a-0", random=0.25)
    out = tmp_path / f"found.{ending}"
    compared(tmp_path, [run], "--out", str(out))
    assert capsys.readouterr().out.splitlines()[-1] == f"out {out}"
    text = out.read_text(encoding="utf-8")
    if ending == "csv":
        row = next(csv.DictReader(text.splitlines()))
        assert (row["run"], row["metric"], float(row["beside"])) == ("a", "knn/accuracy", 0.25)
        assert float(row["value_low"]) <= float(row["value"]) <= float(row["value_high"])
        assert int(row["parameters"]) == 859136 and float(row["pretraining_seconds"]) == 600
    else:
        assert {"md": "| a | knn/accuracy | ", "html": "<h1>1 run side by side</h1>"}[ending] in text


@pytest.mark.parametrize(("name", "words"), [("table.xlsx", ".md, .csv, .html"), ("absent/table.md", "no folder")])
def test_a_table_that_cannot_be_written_is_refused_first(
    tmp_path: Path, name: str, words: str, capsys: Capture
) -> None:
    run = write_evaluation(tmp_path / "a")
    assert main(["compare", str(run), "--out", str(tmp_path / name), f"run={tmp_path / 'table'}"]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and not (tmp_path / "table").exists()
