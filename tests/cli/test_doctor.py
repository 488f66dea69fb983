"""`ssl-platform doctor`: each thing is done once; what fails is a line and exit code 1."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ssl_platform import doctor
from ssl_platform.cli.main import main
from ssl_platform.plugins import loader

Capture = pytest.CaptureFixture[str]


def broken() -> str:
    raise RuntimeError("no\nluck")


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, install: Callable[..., str]) -> Callable[..., None]:
    """Leaves only some checks and no plugin objects to import."""

    def choose(**checks: doctor.Check) -> None:
        monkeypatch.setattr(doctor, "CHECKS", checks)
        monkeypatch.setattr(doctor, "_imports", lambda declaration: "")
        monkeypatch.setattr(doctor, "_plugin_check", lambda declaration: "")

    return choose


def test_all_well(only: Callable[..., None], capsys: Capture) -> None:
    only(python=doctor.check_python)
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok      python")
    assert lines[-1].startswith("all ") and lines[-1].endswith("checks passed")


def test_a_failure_is_a_line_and_exit_1(only: Callable[..., None], capsys: Capture) -> None:
    only(luck=broken, compile=broken)
    assert main(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in found["findings"]}
    assert found["ok"] is False
    assert rows["luck"]["status"] == "failed" and rows["luck"]["detail"] == "RuntimeError: no luck"
    assert rows["compile"]["status"] == "absent", "optional"


def test_a_broken_plugin_and_its_check_are_lines(
    only: Callable[..., None], install: Callable[..., str], capsys: Capture
) -> None:
    only()
    install("acme-bad", "import no_such_library", name="bad")
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "failed  plugin bad" in text and "no_such_library" in text


def test_a_plugin_that_imports_something_heavy_is_named(
    only: Callable[..., None], install: Callable[..., str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    only()
    monkeypatch.setattr(loader, "HEAVY", ("colorsys",))  # stands for torch, which other tests have imported
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    install("acme-slow", "import colorsys\nSSL_PLATFORM_API = 1", name="slow")
    assert main(["doctor"]) == 1
    assert "its import pulls in colorsys" in capsys.readouterr().out


CHECKS = ("check_autograd", "check_devices", "check_processes", "check_safetensors", "check_parquet", "check_trainer")


@pytest.mark.parametrize("name", CHECKS)
def test_checks_pass_here(name: str) -> None:
    assert getattr(doctor, name)()


def test_folders_are_written_and_left_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "writes and renames" in doctor.check_runs()
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("SSL_PLATFORM_CACHE", str(tmp_path / "cache"))
    assert str(tmp_path / "cache") in doctor.check_cache()


def test_a_folder_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = doctor.run("cache", lambda: doctor._writes(tmp_path / "file" / "below"))
    assert found.status == "failed" and "file" in found.detail


@pytest.mark.slow
@pytest.mark.parametrize("name", ["check_compile", "check_workers"])
def test_slow_checks_pass_here(name: str) -> None:
    assert getattr(doctor, name)()
