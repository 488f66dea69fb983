"""A domain and an objective as `new-plugin` writes them keep every promise of the kit."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssl_platform import plugins
from ssl_platform.cli.main import main
from ssl_platform.testing.conformance.kit import Kit
from ssl_platform.testing.distribution import link_project

LEAST = {"sonar": 50, "sphere": 5}
"""Checks that really run: of a domain, and of an objective."""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SSL_PLATFORM_CACHE", str(tmp_path / "cache"))
    for name, kind in (("sonar", "domain"), ("sphere", "objective")):
        assert main(["new-plugin", name, "--into", str(tmp_path), "--kind", kind]) == 0
        for path in link_project(tmp_path / f"ssl-platform-{name}", tmp_path / "site"):
            monkeypatch.syspath_prepend(str(path))
    importlib.invalidate_caches()
    plugins.reset()
    yield
    plugins.reset()
    for name in [name for name in sys.modules if name.startswith(("ssl_platform_sonar", "ssl_platform_sphere"))]:
        del sys.modules[name]


@pytest.mark.parametrize("name", LEAST)
def test_what_is_written_passes_the_kit(name: str, installed: None) -> None:
    with Kit(name) as kit:
        report = kit.run()
    bad = [f"{o.subject} {o.name}: {o.cause}" for o in report.outcomes if o.bad]
    assert not bad
    assert report.counts["passed"] >= LEAST[name]
