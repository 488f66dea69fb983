"""docs/plugins.md says all there is to writing a plugin, and its examples run."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ssl_platform import api
from ssl_platform.domain import Domain
from ssl_platform.plan import ModelSpec, Plan, Reads, Refresh, ViewSpec
from ssl_platform.plugins import ACCEPTED, API, HOOKS, Setting, hookspecs
from ssl_platform.types import Channel, Layout, Part, Row, Window

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
DECLARATIONS = [declaration for _, declaration in HOOKS.values()]


def words(text: str) -> set[str]:
    """Names in backquotes, without arguments."""
    return {name.partition("(")[0] for name in re.findall(r"`([^`]+)`", text)}


def first_column(text: str) -> set[str]:
    """Names in the first column of the tables."""
    return set().union(*(words(line.split("|")[1]) for line in text.splitlines() if line.startswith("| `")), set())


def section(heading: str) -> str:
    found = re.search(rf"^###? {re.escape(heading)}$(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/plugins.md has no section {heading!r}"
    return found[1]


def table(heading: str) -> str:
    """The table whose first heading begins so."""
    found = re.search(rf"^\| {re.escape(heading)}.*?(?=^[^|]|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/plugins.md has no table {heading!r}"
    return found[0]


def fields(cls: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(cls)}


def test_every_hook_with_what_it_returns() -> None:
    specs = {name for name in vars(hookspecs) if name.startswith("ssl_platform_")}
    assert specs == set(HOOKS)
    assert first_column(table("hook")) == specs
    for hook, (_, declaration) in HOOKS.items():
        assert re.search(rf"\| `{hook}` \| `{declaration.__name__}` \|", PAGE), hook


@pytest.mark.parametrize("declaration", [*DECLARATIONS, Setting], ids=lambda cls: cls.__name__)
def test_every_field_of_a_declaration(declaration: Any) -> None:
    assert first_column(section(f"`{declaration.__name__}`")) == fields(declaration)


def test_every_public_name_of_a_domain() -> None:
    public = {name for name in dir(Domain) if not name.startswith("_")}
    public |= {name for cls in Domain.__mro__ for name in vars(cls).get("__annotations__", {})} | {"options", "cache"}
    told = [table("attribute of `Domain`"), table("method of `Domain`"), table("for packing")]
    assert first_column("".join(told)) == {name for name in public if not name.startswith("_")}


@pytest.mark.parametrize("cls", [Layout, Channel, Row, Window, Part, api.Prepared, Plan, ViewSpec])
def test_every_field_of_what_travels_and_of_plans(cls: Any) -> None:
    assert first_column(table(f"`{cls.__name__}` field")) - {cls.__name__} == fields(cls)


@pytest.mark.parametrize("cls", [Reads, ModelSpec, Refresh])
def test_every_field_of_the_parts_of_plans(cls: Any) -> None:
    (row,) = [line for line in table("field | of").splitlines() if f"| `{cls.__name__}` |" in line]
    assert words(row.split("|")[1]) == fields(cls)


def test_every_method_of_an_objective() -> None:
    own = {name for name in vars(api.Objective) if callable(getattr(api.Objective, name)) and not name.startswith("_")}
    assert first_column(table("method of `Objective`")) == own - {"Config"}


@pytest.mark.parametrize("name", ["Operation", "Context", "Tokenizer", "Backbone"])
def test_members_that_authors_write_or_read(name: str) -> None:
    written = {
        "Operation": {"name", "always", "front_end", "apply"},
        "Context": {name for name in dir(api.Context) if not name.startswith("_")} | fields(api.Context),
        "Tokenizer": {n for n, v in vars(api.Tokenizer).items() if callable(v)} - {"embed_kind"},
        "Backbone": {"embed_dim", "offers", "normaliser", "tokenize", "encode", "forward"},
    }
    missing = [word for word in written[name] if not re.search(rf"\b{word}\b", PAGE)]
    assert not missing


def test_every_name_that_may_be_imported_and_no_other() -> None:
    told = [line.split("|")[2] for line in section("What may be imported").splitlines() if line.startswith("| ")]
    assert set().union(*map(words, told)) == set(api.__all__)


def test_names_for_domains_are_light() -> None:
    """In a fresh interpreter: what the module of a domain may import without torch."""
    rows = [line.split("|") for line in section("What may be imported").splitlines() if line.startswith("| ")]
    light = {"declaring", "a domain", "windows", "errors"}
    names = set().union(*(words(row[2]) for row in rows if row[1].strip() in light))
    assert light <= {row[1].strip() for row in rows} and {"Domain", "Unreadable", "grid_windows"} <= names
    code = f"import sys; from ssl_platform.api import {', '.join(sorted(names))}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_every_way_to_steer_the_kit() -> None:
    from ssl_platform.testing.conformance import kit, pytest_plugin

    told = section("Testing")
    words = [kit.DECLARED, f"{kit.FLOOR:.0%}".replace("%", " %"), pytest_plugin.OPTION, f"{pytest_plugin.OPTION}-all"]
    for word in [*words, pytest_plugin.INI, "check eeg --all", "check eeg --json", "--expect ", "unused = ("]:
        assert word in told, word


def test_the_api_number_and_the_entry_point_are_current() -> None:
    assert f"SSL_PLATFORM_API = {API}" in PAGE and ACCEPTED == (API - 1, API)
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert list(tomllib.loads(example)["project"]["entry-points"]) == ["ssl_platform.plugins"]


def example(start: str) -> dict[str, Any]:
    """The names a Python example defines."""
    (code,) = [code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if start in code]
    names: dict[str, Any] = {}
    exec(f"import torch\nfrom torch import Tensor\n{code}", names)
    return names


def test_the_example_of_a_view_operation_runs() -> None:
    import torch

    layout = Layout("C T", unit="s")
    x = torch.zeros(64, 2, 500)
    context = api.Context(layout, x, None, None, torch.full((64, 1), 1 / 1000), ("a", "b"))
    out, parameters = example("class MainsHum")["MainsHum"]().apply(x, context, api.Draws.at(0, torch.arange(64)))
    level = parameters["hum"]
    assert level.shape == (64, 1) and 0.2 < (level > 0).float().mean() < 0.8
    torch.testing.assert_close(out.amax((1, 2)), level[:, 0], rtol=1e-3, atol=1e-3)


def test_the_example_of_a_protocol_runs() -> None:
    import torch

    target = torch.arange(12) % 3
    features = torch.eye(3)[target] + 0.01 * torch.randn(12, 3)
    names = [str(i) for i in range(12)]
    parts = [
        api.Labelled(features[i : i + 4], target[i : i + 4], names[i : i + 4], names[i : i + 4]) for i in (0, 4, 8)
    ]
    task = api.Task("classification", ("a", "b", "c"))
    answer = example("def nearest_mean")["nearest_mean"](api.Splits(*parts), task, api.Budget())
    assert (answer.score.argmax(1) == target[8:].numpy()).all()
