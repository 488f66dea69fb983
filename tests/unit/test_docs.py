"""The documentation is complete and current."""

from __future__ import annotations

import runpy
from pathlib import Path

import click
import pytest

from ssl_platform.cli.main import COMMANDS, app
from ssl_platform.config.compose import schema_keys
from ssl_platform.config.schema import RunConfig
from ssl_platform.plugins import HOOKS, registry

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name: str) -> None:
    row = next((line for line in PAGE.splitlines() if line.startswith(f"| `{name}")), "")
    assert row, f"{name} is not in docs/command_line.md"
    command = app.get_command(click.Context(app), name)
    assert command is not None
    everywhere = ("--debug", "--disable-plugin", "--json", "--help", "--manifest", "--labels", "--data")
    for parameter in command.params:
        for word in parameter.opts:
            if word.startswith("--"):
                assert word in (PAGE if word in everywhere else row), f"{name} {word}"


def test_every_protocol_has_a_row() -> None:
    for declared in registry().protocols():
        assert f"| `{declared.name}` |" in PAGE, declared.name


def test_every_key_is_documented() -> None:
    for key in schema_keys(RunConfig):
        assert f"| `{key}` |" in PAGE, f"{key}: run python docs/key_table.py"


def test_the_table_of_keys_is_current() -> None:
    main = runpy.run_path(str(ROOT / "docs" / "key_table.py"))["main"]
    assert main(["--check"]) == 0, "run python docs/key_table.py"


def test_the_page_of_objectives_is_current() -> None:
    main = runpy.run_path(str(ROOT / "docs" / "objectives_page.py"))["main"]
    assert main(["--check"]) == 0, "run python docs/objectives_page.py"


def test_every_line_of_a_specification_is_accounted_for_by_tests_that_exist() -> None:
    from ssl_platform.testing.objectives import names

    made = runpy.run_path(str(ROOT / "docs" / "acceptance_page.py"))
    found = made["sections"]()
    assert not made["absent"]()
    assert made["main"](["--check"]) == 0, "run python docs/acceptance_page.py"
    assert set(names()) <= {section.name for section in found}
    assert {line.learning for section in found for line in section.lines} <= {"", *names()}


def test_the_page_of_datasets_is_current() -> None:
    main = runpy.run_path(str(ROOT / "docs" / "datasets_page.py"))["main"]
    assert main(["--check"]) == 0, "run python docs/datasets_page.py"


def test_every_hook_has_a_docstring() -> None:
    from ssl_platform.plugins import hookspecs

    for hook in HOOKS:
        assert getattr(hookspecs, hook).__doc__
