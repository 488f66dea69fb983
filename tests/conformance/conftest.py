"""Toy plugins, sound and broken, for the kit's own tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ssl_platform.testing.conformance import Check, Kit, Outcome

DECLARED = """
from ssl_platform.plugins import DomainDeclaration, hookimpl

SSL_PLATFORM_API = 1
{extra}

@hookimpl
def ssl_platform_domains():
    return [DomainDeclaration(
        name={name!r}, factory="{module}:Ours", axes={axes!r}, relations=("same", "overlap"),
        symmetries={symmetries!r}, moves={moves!r}, tasks=("classification", "regression"), suffixes=(".npy",),
    )]
"""
GRID = """
import numpy as np
from ssl_platform.testing.toy_domain import ToyDomain
from ssl_platform.types import Channel, Layout, Part
from ssl_platform.errors import Unreadable


class Ours(ToyDomain):
    name = {name!r}
    layout = Layout({axes!r}, (Channel("c0"),), unit="mm", symmetries=frozenset({symmetries!r}),
                    moves=frozenset({moves!r}), fill=-1.0, meta=("brightness",))
    tasks = ("classification", "regression")
    window = {window!r}
    patch = {patch!r}

{methods}
"""
SIGNAL = {"axes": "C T", "symmetries": ("gain", "noise"), "moves": ("flip:T",), "window": (24,), "patch": (2,)}
IMAGE = {"axes": "C H W", "symmetries": ("flip:W", "gain"), "moves": ("rot90:HW",), "window": (16, 16), "patch": (4, 4)}
Toy = Callable[..., str]


@pytest.fixture
def toy(install: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toy]:
    """Installs a domain over `.npy` arrays: `toy("methods as text", kind=IMAGE)`; returns its name."""
    import sys

    modules: list[str] = []

    def one(
        methods: str = "    pass", *, kind: dict = IMAGE, extra: str = "", name: str = "toys", body: str = ""
    ) -> str:
        module = f"conformance_{name}"
        words = {"name": name, "module": module, **kind}
        folder = tmp_path / "code"
        folder.mkdir(exist_ok=True)
        (folder / f"{module}.py").write_text(body or GRID.format(methods=methods, **words), encoding="utf-8")
        monkeypatch.syspath_prepend(str(folder))
        modules.append(module)
        declared = {key: words[key] for key in ("name", "module", "axes", "symmetries", "moves")}
        install(f"acme-{name}", DECLARED.format(extra=extra, **declared))
        return name

    yield one
    for module in modules:
        sys.modules.pop(module, None)


@pytest.fixture
def hold() -> Callable[..., dict[str, Outcome]]:
    """Performs the checks of a name that a predicate chooses; outcomes by check name."""

    def some(name: str, *starts: str, skip: tuple[str, ...] = (), **options: object) -> dict[str, Outcome]:
        def chosen(check: Check) -> bool:
            return check.name.startswith(starts or ("",)) and not check.name.startswith(skip or ("\0",))

        with Kit(name, **options) as kit:  # type: ignore[arg-type]
            return {check.name: kit.perform(check) for check in kit.checks() if chosen(check)}

    return some
