"""Everything an author may import is there, and asking for it costs what it is."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import ssl_platform
from ssl_platform import api, authoring


@pytest.mark.parametrize("name", api.AUTHORING)
def test_names_of_authors(name: str) -> None:
    found = getattr(api, name)
    assert found.__doc__ or name == "hookimpl"
    assert name in dir(api)


def test_type_checkers_see_what_is_imported() -> None:
    nodes = ast.walk(ast.parse(Path(authoring.__file__).read_text(encoding="utf-8")))
    seen = {a.asname: n.module for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names if a.asname}
    assert seen == api.AUTHORING


@pytest.mark.parametrize("name", api.COMMANDS)
def test_commands_are_documented_and_take_keywords(name: str) -> None:
    function = getattr(api, name)
    assert inspect.getdoc(function)
    kinds = {parameter.kind for parameter in inspect.signature(function).parameters.values()}
    assert name == "load_encoder" or kinds <= {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}


@pytest.mark.parametrize("name", ["pretrain", "probe", "finetune", "predict", "embed", "load_encoder"])
def test_the_package_has_them_too(name: str) -> None:
    assert getattr(ssl_platform, name) is getattr(api, name)


def test_unknown_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'pretrian'"):
        _ = api.pretrian


def test_importing_the_api_imports_nothing_heavy() -> None:
    code = (
        "import sys; from ssl_platform.api import DomainDeclaration, hookimpl, Plan\n"
        "print(sorted({'torch', 'numpy', 'pydantic', 'lightning'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
