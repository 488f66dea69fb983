"""Checkpoints are complete or absent, whatever happens while they are written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from ssl_platform.errors import RunFailed, UsageError
from ssl_platform.train import checkpoint


def _write(folder: Path, step: int, keep: int = 3, **options: Any) -> None:
    checkpoint.write(folder, step, {"weights": torch.full((4,), float(step))}, keep=keep, **options)


def test_keeps_the_last_ones(tmp_path: Path) -> None:
    for step in (1, 2, 3, 10):
        _write(tmp_path, step, keep=2)
    assert checkpoint.steps_of(tmp_path) == [3, 10]
    state = checkpoint.read_last(tmp_path, print)
    assert state is not None and state["step"] == 10 and float(state["weights"][0]) == 10


@pytest.mark.parametrize("moment", ["save", "extra", "rename"])
def test_killed_while_writing_leaves_the_one_before(
    tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill is an exception that nothing cleans up after."""
    _write(tmp_path, 1)

    class Killed(BaseException):
        pass

    def die(*args: Any, **kwargs: Any) -> None:
        if moment == "save":
            Path(args[1]).write_bytes(b"half")
        raise Killed

    targets = {"save": (torch, "save"), "rename": (Path, "rename")}
    with monkeypatch.context() as patch:
        if moment in targets:
            patch.setattr(*targets[moment], die)
        with pytest.raises(Killed):
            _write(tmp_path, 2, **({"extra": die} if moment == "extra" else {}))
    assert checkpoint.steps_of(tmp_path) == [1]
    assert checkpoint.read_last(tmp_path, print)["step"] == 1  # type: ignore[index]
    _write(tmp_path, 2)
    assert checkpoint.steps_of(tmp_path) == [1, 2]
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")], "what the killed writer left is removed"


def test_a_damaged_one_is_said_and_the_one_before_taken(tmp_path: Path) -> None:
    _write(tmp_path, 1)
    _write(tmp_path, 2)
    file = checkpoint.folder_of(tmp_path, 2) / checkpoint.STATE
    os.truncate(file, file.stat().st_size // 2)
    said: list[str] = []
    assert checkpoint.read_last(tmp_path, said.append)["step"] == 1  # type: ignore[index]
    assert len(said) == 1 and "damaged" in said[0] and "00000002" in said[0]
    os.truncate(checkpoint.folder_of(tmp_path, 1) / checkpoint.STATE, 10)
    with pytest.raises(UsageError, match="damaged"):
        checkpoint.read_last(tmp_path, said.append)


def test_no_code_is_loaded(tmp_path: Path) -> None:
    folder = checkpoint.folder_of(tmp_path, 1)
    folder.mkdir()
    torch.save({"format": 1, "step": 1, "evil": os.system}, folder / checkpoint.STATE)
    with pytest.raises(UsageError, match="damaged"):
        checkpoint.read(folder)


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    _write(tmp_path, 1)
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(RunFailed, match=r"step 2 cannot be written .*No space left"):
        _write(tmp_path, 2)
    assert checkpoint.steps_of(tmp_path) == [1]
