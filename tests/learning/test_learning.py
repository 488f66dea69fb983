"""Every objective beats its control, as the stored table says; measured anew with `pytest -m slow tests/learning`."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssl_platform.testing.learning import SETUPS
from ssl_platform.testing.learning_table import ON_ONE_SET, STEPS, TRIALS, Row, Table, Trial, measured, page, trial_of
from ssl_platform.testing.objectives import names

ROOT = Path(__file__).resolve().parents[2]
TABLE = Table.read(Path(__file__).with_name("table.json"))
PAIRS = [pytest.param(name, data, id=f"{name}-{data}") for name in names() for data in SETUPS]


def test_the_table_speaks_of_objectives_there_are() -> None:
    assert {name for name, _ in TABLE.rows} <= set(names())
    assert {data for _, data in TABLE.rows} <= set(SETUPS)


def test_the_page_says_what_the_table_says() -> None:
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert page(TABLE) in text, "run python benchmarks/learning.py --page"


def test_a_threshold_is_half_of_the_gain() -> None:
    row = Row("any", "wholeslide", "", accuracy=0.8, control=0.5)
    assert row.threshold == pytest.approx(0.65) and row.better
    assert not Row("any", "wholeslide", "", accuracy=0.5, control=0.5).better


def test_a_trial_on_one_set_replaces_the_usual_one_there_and_nowhere_else() -> None:
    for (name, data), trial in ON_ONE_SET.items():
        usual = TRIALS.get(name, Trial())
        assert trial_of(name, data).settings == trial.settings and trial != usual
        assert all(
            trial_of(name, other).settings == usual.settings for other in SETUPS if (name, other) not in ON_ONE_SET
        )


def test_steps_of_slow_arms_are_those_of_their_set_alone() -> None:
    assert trial_of("dino", "multispectral").steps == STEPS["multispectral"]["dino"]
    assert trial_of("dino", "wholeslide").steps is None
    assert all(name in names() and data in SETUPS for data, steps in STEPS.items() for name in steps)


def test_a_small_gain_of_one_seed_is_not_settled() -> None:
    assert not Row("any", "wholeslide", "", accuracy=0.52, control=0.5).settled
    assert Row("any", "wholeslide", "", accuracy=0.52, control=0.5, seeds=3).settled
    assert Row("any", "wholeslide", "", accuracy=0.6, control=0.5).settled
    assert Row("any", "wholeslide", "", unfit="a grid").settled


@pytest.mark.slow
@pytest.mark.parametrize(("name", "data"), PAIRS)
def test_it_still_learns(name: str, data: str) -> None:
    stored = TABLE.rows.get((name, data))
    if stored is None:
        pytest.skip(f"not measured yet: python benchmarks/learning.py {name}")
    found = measured(name, data)
    assert found.unfit == stored.unfit
    if stored.better:
        assert found.accuracy >= stored.threshold, f"{found.line()}; stored: {stored.accuracy:.3f}"
