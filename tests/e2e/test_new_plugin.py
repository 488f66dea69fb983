"""A domain and an objective written by `new-plugin`, installed: they are found, scan, train together and pass their
own tests.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ssl_platform.cli.main import main
from ssl_platform.testing.distribution import link_project

ROOT = Path(__file__).resolve().parents[2]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("new")
    assert main(["new-plugin", "sonar", "--into", str(folder)]) == 0
    assert main(["new-plugin", "sphere", "--into", str(folder), "--kind", "objective"]) == 0
    return [folder / "ssl-platform-sonar", folder / "ssl-platform-sphere"]


@pytest.fixture(scope="module")
def paths(projects: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    site = tmp_path_factory.mktemp("site")
    return list(dict.fromkeys(path for project in projects for path in link_project(project, site)))


@pytest.fixture
def installed(paths: list[Path], linked: Callable[..., None]) -> None:
    linked(*paths)


def test_they_are_found_and_cost_listings_nothing(installed: None, capsys: Capture) -> None:
    assert main(["plugins", "--json"]) == 0
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    for name, kind in (("sonar", "domains"), ("sphere", "objectives")):
        row = found[name]
        assert (row["status"], row["distribution"], row[kind]) == ("ok", f"ssl-platform-{name}", [name])
        assert row["heavy"] == []
    assert main(["objectives", "--domain", "sonar", "--json"]) == 0
    fits = {row["name"]: row["fits"] for row in json.loads(capsys.readouterr().out)}
    assert fits["sphere"] and fits["mae"] and fits["vicreg"]


def test_the_domain_trains_by_the_objective_on_its_sample_set(
    installed: None, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_PLATFORM_CACHE", str(tmp_path / "cache"))
    from ssl_platform_sonar.domain import SonarSignals  # type: ignore[import-not-found]

    SonarSignals().sample_data(tmp_path / "data")
    data = ["--domain", "sonar", "cache.dir=" + str(tmp_path / "cache")]
    assert main(["scan", str(tmp_path / "data" / "signals"), *data]) == 0
    said = capsys.readouterr().out
    assert "data.sample_rate=128.0 (53 items at 128, 11 items at 256 Hz)" in said
    assert "1 of 3 channels left out: flat, or mostly missing" in said
    options = ["scale=tiny", "trainer.max_steps=3", "data.batch_size=4", "data.workers=0"]
    run = tmp_path / "run"
    words = ["pretrain", "--domain", "sonar", "--objective", "sphere", "--run", str(run), *options]
    assert main(words) == 0, capsys.readouterr().err
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    assert result["status"] == "done" and result["steps"] == 3
    assert math.isfinite(result["loss"]["last"]) and result["quarantined"] == 0
    assert "ssl-platform-sonar" in (run / "encoder.json").read_text(encoding="utf-8")


@pytest.mark.slow  # a process a project; the conformance kit holds the same projects in the suite
def test_their_own_tests_pass(projects: list[Path], paths: list[Path], tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "SSL_PLATFORM_CACHE": str(tmp_path)}
    words = ["-m", "pytest", "-p", "no:cacheprovider", *(str(project / "tests") for project in projects)]
    done = subprocess.run(
        [sys.executable, *words], cwd=projects[0], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout
    assert "18 passed" in done.stdout


@pytest.mark.slow
def test_what_is_written_passes_mypy_strict(projects: list[Path]) -> None:
    environment = {**os.environ, "MYPYPATH": str(ROOT / "platform" / "src")}
    for project in projects:
        words = ["-m", "mypy", "--cache-dir", str(ROOT / ".mypy_cache")]
        done = subprocess.run([sys.executable, *words], cwd=project, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
