"""TensorBoard beside metrics.csv."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssl_platform.errors import ConfigError
from ssl_platform.train import checkpoint
from ssl_platform.train.metrics import read_rows


def test_tensorboard_gets_what_the_table_gets(toy_run: Callable[..., Any], tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    toy_run("mae", trainer__loggers=["tensorboard"], health__enabled=True, health__every=2, health__items=16)
    events = reader.EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    rows = read_rows(tmp_path / "run" / "metrics.csv")
    for name in ("loss", "lr", "health/effective_rank"):
        written = {int(row["step"]): float(row[name]) for row in rows if row[name]}
        assert {e.step: e.value for e in events.Scalars(name)} == pytest.approx(written, rel=1e-5)
    (file,) = (tmp_path / "run").glob("events.out.tfevents.*")
    assert socket.gethostname() not in file.name and ".run." in file.name, "loggers get no host"


def test_a_resumed_run_goes_on_in_the_same_folder(toy_run: Callable[..., Any], tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    toy_run("mae", trainer__loggers=["tensorboard"])
    for step in (3, 4):
        shutil.rmtree(checkpoint.folder_of(tmp_path / "run" / "checkpoints", step))
    result = tmp_path / "run" / "result.json"
    result.write_text(result.read_text().replace('"done"', '"running"'))
    toy_run("mae", resume=True)
    events = reader.EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    assert [e.step for e in events.Scalars("loss")] == [1, 2, 3, 4]


def test_without_the_extra_it_says_what_to_install(
    toy_run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"pip install 'ssl-platform\[tensorboard\]'"):
        toy_run("mae", trainer__loggers=["tensorboard"])
    assert not (tmp_path / "run").exists()
