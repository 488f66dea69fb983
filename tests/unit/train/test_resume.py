"""A resumed run is bit-equal to one that was never interrupted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ssl_platform.train import checkpoint
from ssl_platform.train.metrics import read_rows
from ssl_platform.train.provenance import environment
from ssl_platform.train.resume import elsewhere

# Every way of keeping state, through the trainer; tests/parity/objectives does it for all objectives without one.
OBJECTIVES = ["simclr", "vicreg", "byol", "dino", "swav", "mae", "i-jepa"]
STATE = ("backbone", "objective", "optimizer")


def _cut(source: Path, target: Path, step: int) -> None:
    """A copy of a run as a kill after `step` steps leaves it."""
    shutil.copytree(source, target)
    for later in checkpoint.steps_of(target / "checkpoints"):
        if later > step:
            shutil.rmtree(checkpoint.folder_of(target / "checkpoints", later))
    result = json.loads((target / "result.json").read_text())
    (target / "result.json").write_text(json.dumps({**result, "status": "running"}))


def _tensors(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {k: v for name, inner in value.items() for k, v in _tensors(inner, f"{prefix}{name}.").items()}
    if isinstance(value, list | tuple):
        return {k: v for i, inner in enumerate(value) for k, v in _tensors(inner, f"{prefix}{i}.").items()}
    return {prefix: value}


def assert_same_state(a: Path, b: Path, step: int) -> None:
    one, other = (checkpoint.read(checkpoint.folder_of(run / "checkpoints", step)) for run in (a, b))
    for part in STATE:
        left, right = _tensors(one[part]), _tensors(other[part])
        assert left.keys() == right.keys()
        for name, value in left.items():
            same = torch.equal(value, right[name]) if isinstance(value, torch.Tensor) else value == right[name]
            assert same, f"{part}.{name} differs"


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_two_and_two_steps_are_four(objective: str, toy_run: Callable[..., Any], tmp_path: Path) -> None:
    toy_run(objective, "whole")
    _cut(tmp_path / "whole", tmp_path / "resumed", step=2)
    result = toy_run(objective, "resumed", resume=True)
    assert result["status"] == "done" and result["steps"] == 4
    assert_same_state(tmp_path / "whole", tmp_path / "resumed", 4)
    steps = [int(row["step"]) for row in read_rows(tmp_path / "resumed" / "metrics.csv")]
    assert steps == [1, 2, 3, 4]
    losses = [[row["loss"] for row in read_rows(tmp_path / run / "metrics.csv")] for run in ("whole", "resumed")]
    assert losses[0] == losses[1]


def test_going_on_under_other_circumstances_is_allowed_and_said(
    toy_run: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy_run("mae", "whole")
    _cut(tmp_path / "whole", tmp_path / "resumed", step=2)
    began = tmp_path / "resumed" / "environment.json"
    began.write_text(json.dumps({**json.loads(began.read_text()), "processes": 4, "device": "NVIDIA H100"}))
    capsys.readouterr()
    assert toy_run("mae", "resumed", resume=True)["steps"] == 4
    expected = "bit-equal to a run without a stop: device NVIDIA H100 then, cpu now; processes 4 then, 1 now"
    assert f"resumed, but not {expected}" in capsys.readouterr().out.splitlines()
    assert json.loads(began.read_text())["processes"] == 1


def test_going_on_where_it_began_says_nothing() -> None:
    here = environment("cpu", "32", 1)
    assert elsewhere(here, dict(here)) == elsewhere({}, here) == ""
    other = {**here, "packages": {**here["packages"], "torch": "1.0"}}
    assert elsewhere(other, here).endswith(f"torch 1.0 then, {here['packages']['torch']} now")
