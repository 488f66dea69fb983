"""benchmarks/results.py: what decides a row, and how rows become tables."""

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def module(monkeypatch):
    """Imports a module of the benchmarks."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def row(encoder, seed, knn):
    return {
        "study": "audio",
        "encoder": encoder,
        "seed": seed,
        "figures": {"knn": {"accuracy": knn}, "finetune": {"accuracy": 0.5}},
        "seconds": {"train": 10.0},
    }


def test_cells_hold_means_and_differences_paired_by_seed(module):
    plan, table = module("results_plan"), module("results_table")
    rows = [row("random", 0, 0.1), row("random", 1, 0.3), row("mae", 1, 0.5), row("mae", 0, 0.32)]
    text = table.section(plan.STUDIES["audio"], rows, {"means + linear": {"accuracy": 0.9}})
    head, _, random, mae, simple = text.strip().splitlines()
    assert head == "| encoder | kNN | fine-tune, 10 % of the labels | seeds | training, s |"
    assert random.startswith("| random | 0.200 [")
    assert mae.startswith("| mae | 0.410 [") and "<br>**+0.210 [+0.083, +0.337]**" in mae  # 0.22 and 0.20
    assert "| 0.500 [0.500, 0.500]<br>+0.000 [+0.000, +0.000] | 2 | 10 |" in mae
    assert simple == "| *no network:* means + linear | - | 0.900 (all labels) | - | - |"


def test_a_row_is_another_one_when_settings_or_data_change(module, monkeypatch):
    plan = module("results_plan")
    names = {arm.name for arm in plan.arms(["audio"], 2, {"audio": "a"})}
    assert len(names) == 2 * len(plan.ENCODERS)
    assert names == {arm.name for arm in plan.arms(["audio"], 2, {"audio": "a"})}
    assert not names & {arm.name for arm in plan.arms(["audio"], 2, {"audio": "b"})}
    changed = replace(plan.STUDIES["audio"], finetune=61)
    monkeypatch.setattr(plan, "STUDIES", {"audio": changed})
    assert not names & {arm.name for arm in plan.arms(["audio"], 2, {"audio": "a"})}


def test_seeds_come_after_one_another(module):
    plan = module("results_plan")
    found = [arm.seed for arm in plan.arms(["audio", "video"], 3, {"audio": "", "video": ""})]
    assert found == sorted(found) and set(found) == {0, 1, 2}


def test_a_page_without_marks_is_left_alone(module, tmp_path):
    table = module("results_table")
    page = tmp_path / "page.md"
    page.write_text("# Results\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="lacks the lines"):
        table.write(page, "rows")
    assert page.read_text(encoding="utf-8") == "# Results\n"
    page.write_text(f"# Results\n{table.BEGIN}old\n{table.END}\nafter\n", encoding="utf-8")
    table.write(page, "new\n")
    assert page.read_text(encoding="utf-8") == f"# Results\n{table.BEGIN}new\n{table.END}\nafter\n"
