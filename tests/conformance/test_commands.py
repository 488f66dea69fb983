"""`ssl-platform plugins check` and `pytest --ssl-platform-conformance`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ssl_platform.cli.main import app
from ssl_platform.testing.conformance import kit as kits


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kit with the checks that need no sample data."""
    whole = kits.Kit.checks
    wanted = ("plugin.loads", "factory", "declaration.layout", "declaration.sizes")
    monkeypatch.setattr(kits.Kit, "checks", lambda kit: (c for c in whole(kit) if c.name.startswith(wanted)))


def run(*arguments: str):
    return CliRunner().invoke(app, ["plugins", *arguments])


def test_a_row_a_check_and_a_sum(few) -> None:
    done = run("check", "medical3d")
    assert done.exit_code == 0, done.output
    assert "domain medical3d" in done.output and "declaration.layout" in done.output
    assert done.output.splitlines()[-1].startswith("medical3d: ")
    assert " ok; " in done.output.splitlines()[-1] and "failed" not in done.output


def test_json_and_exit_code_one_where_a_check_fails(few, toy) -> None:
    toy("    patch = (5, 5)")
    done = run("check", "toys", "--json")
    found = json.loads(done.output)
    assert done.exit_code == 1 and found["passed"] is False and found["counts"]["failed"] == 1
    (failed,) = [row for row in found["checks"] if row["status"] == "failed"]
    assert failed["name"] == "declaration.sizes" and failed["cause"] and failed["fix"]
    assert run("check", "toys", "--expect", "declaration.sizes=odd on purpose").exit_code == 0
    assert "expected" in run("check", "acme-toys", "--expect", "declaration.sizes=odd on purpose").output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("check", "medicl3d"), "did you mean 'medical3d'"),
        (("check",), "needs a name"),
        (("--all",), "belong to ssl-platform plugins check"),
        (("check", "audio", "--expect", "windows.origin"), "CHECK=REASON"),
    ],
)
def test_wrong_usage_is_exit_code_two(arguments: tuple[str, ...], words: str) -> None:
    from ssl_platform.errors import PluginError

    done = run(*arguments)
    told = done.output + str(done.exception or "")
    assert words in told
    assert done.exit_code == 2 or isinstance(done.exception, PluginError)


def test_the_matrix_has_a_cell_a_pair_and_a_reason_where_nothing_fits(monkeypatch) -> None:
    from ssl_platform.cli.plugins import show_matrix
    from ssl_platform.testing.conformance.matrix import Cell

    lines: list[str] = []
    monkeypatch.setattr("click.echo", lines.append)
    show_matrix(
        [
            Cell("audio", "mae", "masked", "passed", 0.4, "loss 1 to 0.9"),
            Cell("pointcloud", "mae", "masked", "unfit", note="needs items on a grid"),
        ]
    )
    assert lines[0].split() == ["OBJECTIVE", "FAMILY", "audio", "pointcloud"]
    assert lines[1].split() == ["mae", "masked", "0.40", "s", "unfit"]
    assert lines[2] == "mae on pointcloud: unfit: needs items on a grid"
    assert lines[3].startswith("1 of 2 pairs train; 0.40 s each")


class Seen:
    """Collects what an inner pytest did."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self.texts: list[str] = []

    def pytest_runtest_logreport(self, report) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.nodeid.rpartition(": ")[2]] = (
                "xfailed" if hasattr(report, "wasxfail") else report.outcome
            )
            self.texts.append(report.longreprtext)


def inner(folder: Path, *arguments: str) -> tuple[int, Seen]:
    seen = Seen()
    (folder / "test_own.py").write_text("def test_own():\n    pass\n", encoding="utf-8")
    words = ["-p", "no:cacheprovider", "--import-mode=importlib", f"--rootdir={folder}", "-q", *arguments, str(folder)]
    return int(pytest.main(words, plugins=[seen])), seen


def test_pytest_runs_the_checks_of_the_project_beside_its_own_tests(few, toy, tmp_path: Path) -> None:
    toy()
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text('[project]\nname = "acme-toys"\n', encoding="utf-8")
    code, seen = inner(project, f"--rootdir={project}", "--ssl-platform-conformance", "-k", "declaration or own")
    assert code == 0
    assert seen.outcomes["declaration.layout"] == "passed" and any("test_own" in name for name in seen.outcomes)
    assert "plugin.loads" not in seen.outcomes, "-k chooses among the checks"


def test_pytest_fails_with_cause_and_fix_and_knows_expected_failures(few, toy, tmp_path: Path) -> None:
    toy("    patch = (5, 5)")
    code, seen = inner(tmp_path, "--ssl-platform-conformance=toys")
    assert code == 1 and seen.outcomes["declaration.sizes"] == "failed"
    assert any("cause: window=(16, 16) is cut into patches of (5, 5)" in text and "fix:" in text for text in seen.texts)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nssl_platform_expected_failures =\n    declaration.sizes: odd on purpose\n", encoding="utf-8"
    )
    code, seen = inner(tmp_path, "--ssl-platform-conformance=toys")
    assert code == 0 and seen.outcomes["declaration.sizes"] == "xfailed"


def test_without_the_option_pytest_is_as_ever(tmp_path: Path) -> None:
    code, seen = inner(tmp_path)
    assert code == 0 and list(seen.outcomes.values()) == ["passed"]
