"""The run folder: refuses what would mix runs, tells its state from the first second."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path

import pytest

from ssl_platform.errors import RunFailed, UsageError
from ssl_platform.train import lock
from ssl_platform.train.lock import WriterLock
from ssl_platform.train.metrics import MetricsFile, read_rows
from ssl_platform.train.run import RunFolder, default_path

KEYS = {
    "command",
    "status",
    "steps",
    "samples_per_second",
    "loss",
    "health",
    "quarantined",
    "data_id",
    "split_id",
    "metrics",
    "baselines",
    "paths",
}


def test_result_has_all_keys_from_the_first_second(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert set(result) >= KEYS and result["status"] == "running" and result["health"]["verdict"] == "undetermined"
    folder.update(health={"verdict": "healthy"}, loss={"last": float("nan")})
    assert json.loads((tmp_path / "run" / "result.json").read_text())["loss"] == {"first": None, "last": None}
    folder.close("done")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "done"


def test_a_used_folder_needs_resume(tmp_path: Path) -> None:
    RunFolder(tmp_path).close("stopped")
    with pytest.raises(UsageError, match="add --resume"):
        RunFolder(tmp_path)
    RunFolder(tmp_path, resume=True).close("done")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        RunFolder(tmp_path / "file")


def test_default_name(tmp_path: Path) -> None:
    now = datetime.datetime(2026, 1, 2, 3, 4, 5)
    path = default_path("medical3d", "mae", now, tmp_path)
    assert path.name == "medical3d-mae-20260102-030405"
    path.mkdir()
    assert default_path("medical3d", "mae", now, tmp_path).name == "medical3d-mae-20260102-030405-2"


def _holder(folder: Path, **changes: object) -> None:
    held = {"token": "other", "host": "elsewhere", "pid": 1, "started": ""}
    (folder / lock.NAME).write_text(json.dumps({**held, **changes}))


def test_a_living_writer_is_respected(tmp_path: Path) -> None:
    import socket

    _holder(tmp_path)
    with pytest.raises(UsageError, match="host elsewhere, pid 1"):
        WriterLock(tmp_path)
    old = (tmp_path / lock.NAME).stat().st_mtime - 2 * lock.STALE_SECONDS
    os.utime(tmp_path / lock.NAME, (old, old))
    WriterLock(tmp_path).release()
    _holder(tmp_path, host=socket.gethostname(), pid=os.getppid(), started=lock._process_start(os.getppid()))
    with pytest.raises(UsageError, match="another process writes"):
        WriterLock(tmp_path)
    _holder(tmp_path, host=socket.gethostname(), pid=os.getppid(), started="another process had this number")
    WriterLock(tmp_path).release()


def test_a_writer_that_lost_its_folder_stops(tmp_path: Path) -> None:
    mine = WriterLock(tmp_path)
    _holder(tmp_path)
    mine.renew(now=mine._renewed + 1)
    with pytest.raises(RunFailed, match="took this run over"):
        mine.renew(now=mine._renewed + 2 * lock.RENEW_SECONDS)
    mine.release()
    assert (tmp_path / lock.NAME).exists(), "another's lock is not removed"


def test_metrics_widen_resume_and_survive_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    file = MetricsFile(path)
    file.write({"step": 1, "loss": 0.5})
    file.write({"step": 2, "loss": 0.25, "health/knn": 0.75})
    with path.open("a") as handle:
        handle.write("3,0.1")
    rows = read_rows(path)
    assert [row["step"] for row in rows] == ["1", "2"]
    assert rows[0]["health/knn"] == "" and rows[1]["health/knn"] == "0.75"
    again = MetricsFile(path, keep_until=1)
    again.write({"step": 2, "loss": 0.3})
    assert [(row["step"], row["loss"]) for row in read_rows(path)] == [("1", "0.5"), ("2", "0.3")]
