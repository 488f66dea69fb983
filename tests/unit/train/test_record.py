"""Rows of a run: which steps get one, and that none is lost while numbers stay on the device."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ssl_platform.train.metrics import MetricsFile, read_rows
from ssl_platform.train.module import StepReport
from ssl_platform.train.progress import Clock
from ssl_platform.train.record import Recorder


def report(step: int) -> StepReport:
    terms = {"own": torch.tensor(step / 2)}
    return StepReport(step, torch.tensor(float(step)), terms, torch.tensor(0.5), 1e-3, 0.05, step != 3, {})


@pytest.mark.parametrize(("every", "held", "steps"), [(1, 1, "12345"), (2, 1, "24"), (1, 4, "12345"), (2, 10, "24")])
def test_rows_come_every_so_many_steps_however_long_they_are_held(
    every: int, held: int, steps: str, tmp_path: Path
) -> None:
    recorder = Recorder(MetricsFile(tmp_path / "metrics.csv"), Clock(4, 5), every=every, held=held)
    shown: list[int] = []
    for step in range(1, 6):
        recorder.add(report(step), lambda step, loss: shown.append(step))
        assert len(shown) == (step if held == 1 else step // held * held)
    recorder.flush(lambda step, loss: shown.append(step))
    rows = read_rows(tmp_path / "metrics.csv")
    assert [row["step"] for row in rows] == list(steps) and shown == [1, 2, 3, 4, 5]
    assert (recorder.first, recorder.last) == (1.0, 5.0), "first and last loss are those of all steps"
    assert all(float(row["loss/own"]) == float(row["loss"]) / 2 for row in rows)
    assert [row["step"] for row in rows if row.get("skipped")] == (["3"] if every == 1 else [])
