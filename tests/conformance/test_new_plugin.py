"""A domain and an objective as `new-plugin` writes them keep every promise of the kit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ssl_platform.cli.main import main
from ssl_platform.testing.conformance.kit import Kit
from ssl_platform.testing.distribution import link_project

LEAST = {"sonar": 50, "sphere": 5}
"""Checks that really run: of a domain, and of an objective."""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: Callable[..., None]) -> None:
    monkeypatch.setenv("SSL_PLATFORM_CACHE", str(tmp_path / "cache"))
    for name, kind in (("sonar", "domain"), ("sphere", "objective")):
        assert main(["new-plugin", name, "--into", str(tmp_path), "--kind", kind]) == 0
        linked(*link_project(tmp_path / f"ssl-platform-{name}", tmp_path / "site"))


@pytest.mark.parametrize("name", LEAST)
def test_what_is_written_passes_the_kit(name: str, installed: None) -> None:
    with Kit(name) as kit:
        report = kit.run()
    bad = [f"{o.subject} {o.name}: {o.cause}" for o in report.outcomes if o.bad]
    assert not bad
    assert report.counts["passed"] >= LEAST[name]
