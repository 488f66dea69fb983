"""Schedules are pure functions; durations resolve to steps."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import pytest

from ssl_platform.errors import ConfigError
from ssl_platform.schedules import cosine, linear, resolve_duration, warmup, warmup_cosine


@pytest.mark.parametrize("schedule", [linear, cosine])
def test_ends_and_middle(schedule) -> None:  # type: ignore[no-untyped-def]
    assert schedule(0.996, 1.0, 0.0) == pytest.approx(0.996)
    assert schedule(0.996, 1.0, 1.0) == 1.0
    assert schedule(2.0, 4.0, 0.5) == pytest.approx(3.0)
    assert schedule(2.0, 4.0, 1.7) == schedule(2.0, 4.0, 1.0)


def test_byol_momentum_formula() -> None:
    for t in range(0, 101, 7):
        expected = 1 - (1 - 0.99) * (math.cos(math.pi * t / 100) + 1) / 2
        assert cosine(0.99, 1.0, t / 100) == pytest.approx(expected, abs=1e-15)


def test_warmup_starts_above_zero_and_ends_at_one() -> None:
    assert [warmup(step, 4) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert warmup(0, 0) == 1.0


def test_warmup_then_cosine_is_continuous_and_reaches_its_floor() -> None:
    values = [warmup_cosine(step, 100, 10, floor=0.1) for step in range(101)]
    assert values[9] == values[10] == 1.0
    assert values[100] == pytest.approx(0.1)
    assert all(a >= b for a, b in itertools.pairwise(values[10:]))


@pytest.mark.parametrize(
    ("text", "steps"),
    [("500", 500), (500, 500), ("0", 0), ("10ep", 250), ("0.5ep", 12), ("5%", 50), ("2.5 %", 25), (" 3ep ", 75)],
)
def test_durations(text: str | int, steps: int) -> None:
    assert resolve_duration(text, total_steps=1000, epoch_steps=25) == steps


@pytest.mark.parametrize("text", ["", "ten", "5 epochs", "-3", "1.5", "120%", "ep"])
def test_wrong_durations_name_the_three_forms(text: str) -> None:
    with pytest.raises(ConfigError, match=r"'500'.*'10ep'.*'5%'"):
        resolve_duration(text, 1000, 25)


def test_no_torch_is_imported() -> None:
    code = "import sys, ssl_platform.schedules; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
