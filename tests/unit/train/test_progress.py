"""What a run shows: samples/s, the share of time spent waiting for data, and the time left."""

from __future__ import annotations

import io
import sys

import pytest

from ssl_platform.train import progress
from ssl_platform.train.progress import Bar, Clock, Lines, Pace, Silent, choose, duration

PACE = Pace(samples_per_second=12.34, data_wait=0.256, seconds_left=200.0)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be moved by hand."""
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    return clock


def test_pace_leaves_out_the_first_step_and_what_is_not_training(now: list[float]) -> None:
    waited = [0.0]
    clock = Clock(batch=8, total=10)
    clock.waiting = lambda: waited[0]
    clock.mark(0)
    assert clock.pace() == Pace(None, 0.0, None)
    for step, seconds in ((1, 60.0), (2, 2.0), (3, 2.0)):  # the first step warms up
        now[0] += seconds
        waited[0] += 0.5
        clock.mark(step)
    assert clock.pace() == Pace(samples_per_second=4.0, data_wait=0.25, seconds_left=14.0)
    now[0] += 30.0
    clock.pause(30.0)  # a checkpoint
    now[0] += 2.0
    waited[0] += 0.5
    clock.mark(4)
    assert clock.pace() == Pace(4.0, 0.25, 12.0) and clock.seconds == 96.0


def test_lines_come_at_the_first_and_last_step_and_every_ten_seconds(now: list[float]) -> None:
    out = io.StringIO()
    lines = choose(40, 0, main=True, out=out)
    assert isinstance(lines, Lines)
    for step in range(1, 41):
        lines.step(step, 0.5, PACE if step > 1 else Pace(None, 0.0, None))
        now[0] += 0.6
    lines.close()
    said = out.getvalue().splitlines()
    assert said[0] == "step 1/40  loss 0.5000"
    assert said[1] == "step 18/40  loss 0.5000  12.3 samples/s  data wait 26 %  3 min 20 s left"
    assert said[-1] == "step 40/40  loss 0.5000  12.3 samples/s  data wait 26 %"
    assert [line.split("/")[0] for line in said] == ["step 1", "step 18", "step 35", "step 40"]


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TERM": "xterm", "COLUMNS": "120", "FORCE_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    bar = choose(40, 10, main=True)
    assert isinstance(bar, Bar)
    bar.step(20, 0.5, PACE)
    bar.say("health at step 20: [healthy] 50 %")
    bar.close()
    shown = capsys.readouterr().out
    for part in ("step 20/40", "loss 0.5000", "12.3 samples/s", "data wait 26 %", "health at step 20: [healthy] 50 %"):
        assert part in shown, part


def test_other_ranks_are_silent(capsys: pytest.CaptureFixture[str]) -> None:
    silent = choose(40, 0, main=False)
    assert isinstance(silent, Silent)
    silent.step(1, 0.5, PACE)
    silent.say("x")
    silent.close()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, "?"), (0.4, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7384, "2 h 03 min")]
)
def test_durations(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words
