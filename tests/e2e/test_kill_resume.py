"""Runs in processes of their own, killed while they train, end with what an uninterrupted run ends with."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ssl_platform.testing.distribution import write_distribution
from ssl_platform.train import checkpoint
from ssl_platform.train.metrics import read_rows

TOY = """
import os

from ssl_platform.plugins import DomainDeclaration, hookimpl

SSL_PLATFORM_API = 1


def signal_soon_after(row, number):
    # from inside, so that a busy machine cannot let the run end first; the moment within the next steps is random
    import random
    import threading

    from ssl_platform.train.metrics import MetricsFile

    write = MetricsFile.write

    def write_and_wait(self, values):
        write(self, values)
        if values["step"] == row:
            threading.Timer(0.1 * random.random(), os.kill, (os.getpid(), number)).start()

    MetricsFile.write = write_and_wait


if "SIGNAL_AFTER" in os.environ:
    signal_soon_after(int(os.environ["SIGNAL_AFTER"]), int(os.environ["SIGNAL"]))


@hookimpl
def ssl_platform_domains():
    return [DomainDeclaration(name="toy", factory="ssl_platform.testing.toy_domain:ToyDomain", axes="C D H W")]
"""
STEPS = 60
SETTINGS = [
    f"trainer.max_steps={STEPS}",
    "trainer.checkpoint_every=7",
    "data.batch_size=4",
    "backbone.depth=1",
    "backbone.dim=32",
    "backbone.heads=2",
    "health.every=20",
    "health.items=16",
    "scale=tiny",
    "optim.lr=1e-3",
]


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """`start("run", "--objective", "dino", after=9)` begins a run in a process that is killed soon after step 9."""
    plugin = write_distribution(tmp_path / "plugin", "ssl-platform-toy", "plugin_toy", TOY)
    places = os.pathsep.join([str(plugin), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"}

    def begin(run: str, *words: str, after: int | None = None, number: int = signal.SIGKILL) -> subprocess.Popen[str]:
        signals = {} if after is None else {"SIGNAL_AFTER": str(after), "SIGNAL": str(int(number))}
        command = [sys.executable, "-m", "ssl_platform", "pretrain", "--run", str(tmp_path / run), *words]
        return subprocess.Popen(
            command,
            env={**environment, **signals},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path,
        )

    return begin


def _finish(process: subprocess.Popen[str], code: int = 0) -> str:
    output = process.communicate(timeout=900)[0]
    assert process.returncode == code, output
    return output


def _same(a: Any, b: Any, name: str = "") -> None:
    assert type(a) is type(b), name
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), f"{name} differs"
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), name
        for key in a:
            _same(a[key], b[key], f"{name}.{key}")
    elif isinstance(a, list | tuple):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            _same(x, y, f"{name}[{i}]")
    else:
        assert a == b, name


def _assert_same_end(whole: Path, other: Path) -> None:
    one, two = (checkpoint.read(checkpoint.folder_of(run / "checkpoints", STEPS)) for run in (whole, other))
    for part in ("backbone", "objective", "optimizer"):
        _same(one[part], two[part], part)
    rows = [
        [(row["step"], row["loss"]) for row in read_rows(run / "metrics.csv") if row["loss"]] for run in (whole, other)
    ]
    assert rows[0] == rows[1] and len(rows[0]) == STEPS


def _kill_and_resume(start: Callable[..., Any], folder: Path, words: list[str], kills: int, seed: int) -> None:
    rng = random.Random(seed)
    whole = start("whole", "--domain", "toy", *words, *SETTINGS)
    points = sorted(rng.sample(range(2, STEPS - 10, 3), kills))
    process = start("killed", "--domain", "toy", *words, *SETTINGS, after=points[0])
    for following in [*points[1:], None]:
        _finish(process, -signal.SIGKILL)
        assert json.loads((folder / "killed" / "result.json").read_text(encoding="utf-8"))["status"] == "running"
        process = start("killed", "--resume", after=following)
    _finish(process)
    _finish(whole)
    _assert_same_end(folder / "whole", folder / "killed")
    again = _finish(start("killed", "--resume"))
    assert "nothing to resume" in again


def test_sigkill_then_resume_is_bit_equal(start: Callable[..., Any], tmp_path: Path) -> None:
    _kill_and_resume(start, tmp_path, ["--objective", "dino"], kills=1, seed=time.time_ns())


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["simclr", "dino", "swav"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_sigkill_at_three_random_steps(
    objective: str, accumulate: int, start: Callable[..., Any], tmp_path: Path
) -> None:
    words = ["--objective", objective, f"data.accumulate={accumulate}"]
    _kill_and_resume(start, tmp_path, words, kills=3, seed=time.time_ns())


def test_sigterm_saves_and_resume_is_bit_equal(start: Callable[..., Any], tmp_path: Path) -> None:
    words = ["--domain", "toy", "--objective", "mae", "data.accumulate=2", *SETTINGS]
    whole, process = start("whole", *words), start("stopped", *words, after=10, number=signal.SIGTERM)
    output = _finish(process, 143)
    assert "--resume" in output
    result = json.loads((tmp_path / "stopped" / "result.json").read_text(encoding="utf-8"))
    saved = checkpoint.steps_of(tmp_path / "stopped" / "checkpoints")[-1]
    assert result["status"] == "stopped" and result["steps"] == saved >= 10
    assert saved % 7 or saved == result["steps"], "saved where it stopped, not at the last interval"
    _finish(start("stopped", "--resume"))
    _finish(whole)
    _assert_same_end(tmp_path / "whole", tmp_path / "stopped")
