"""`pytest --ssl-platform-conformance[=NAME]`: every check of the kit as a test, in any repository.

Without a name it checks the project it runs in (`[project] name` of the `pyproject.toml` beside it), or else every
plugin installed besides the core. Importing this module imports pytest only.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ssl_platform.testing.conformance.check import Check
    from ssl_platform.testing.conformance.kit import Kit

OPTION = "--ssl-platform-conformance"
INI = "ssl_platform_expected_failures"
_HERE = "\0"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options and the ini key."""
    group = parser.getgroup("ssl-platform", "ssl-platform conformance")
    group.addoption(
        OPTION,
        nargs="?",
        const=_HERE,
        metavar="NAME",
        help="hold a plugin, distribution or domain to the conformance kit; without =NAME the project tested",
    )
    group.addoption(f"{OPTION}-all", action="store_true", help="every objective that fits, not one a family")
    parser.addini(INI, "known failures of the conformance kit, a line each: CHECK: REASON", type="linelist", default=[])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the checks to what was collected, so that `-k` and `-m` choose among them too."""
    asked = config.getoption(OPTION)
    if asked is None:
        return
    for name in names_of(asked, config.rootpath):
        collector = KitCollector.from_parent(session, name=f"ssl-platform:{name}", asked=name)
        items += collector.collect()


def names_of(asked: str, root: Path) -> list[str]:
    """What is checked.

    Args:
        asked: the option's value.
        root: of the project tested.

    Raises:
        pytest.UsageError: nothing is installed that could be.
    """
    if asked != _HERE:
        return [asked]
    from ssl_platform.plugins import registry
    from ssl_platform.plugins.loader import CORE

    installed = sorted({r.distribution for r in registry().records if r.status != "disabled"} - {CORE})
    project = root / "pyproject.toml"
    if project.is_file():
        own = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {}).get("name", "")
        if own in installed:
            return [own]
    if not installed:
        raise pytest.UsageError(f"{OPTION}: no ssl-platform plugin is installed here: pip install -e . first")
    return installed


class KitCollector(pytest.Collector):
    """The checks of one name.

    Args:
        asked: of the plugin, distribution or domain.
    """

    def __init__(self, *, asked: str, **words: Any) -> None:
        super().__init__(**words)
        self.asked = asked
        self.kit: Kit | None = None

    def collect(self) -> list[pytest.Item]:
        """One item a check.

        Raises:
            pytest.UsageError: nothing of that name is installed.
        """
        from ssl_platform.errors import PluginError
        from ssl_platform.testing.conformance.kit import Kit

        expected = dict(_pairs(self.config.getini(INI)))
        try:
            self.kit = Kit(self.asked, everything=self.config.getoption(f"{OPTION}-all"), expected=expected)
        except PluginError as error:
            hint = f"; write {OPTION}=NAME, or put it last" if Path(self.asked).exists() else ""
            raise pytest.UsageError(f"{OPTION}: {error}{hint}") from None
        self.session.config.add_cleanup(self.kit.close)
        return [
            CheckItem.from_parent(self, name=f"{check.subject}: {check.name}", check=check)
            for check in self.kit.checks()
        ]


class CheckItem(pytest.Item):
    """One check as a test.

    Args:
        check: to run.
    """

    def __init__(self, *, check: Check, **words: Any) -> None:
        super().__init__(**words)
        self.check = check

    def runtest(self) -> None:
        """Run it and say its outcome in pytest's words."""
        assert isinstance(self.parent, KitCollector) and self.parent.kit is not None
        outcome = self.parent.kit.perform(self.check)
        self.user_properties.append(("conformance", outcome.as_dict()))
        if outcome.status == "skipped":
            pytest.skip(outcome.cause)
        if outcome.status == "expected":
            pytest.xfail(outcome.cause)
        if outcome.bad:
            raise BrokenPromise(f"{outcome.about}\n  cause: {outcome.cause}\n  fix:   {outcome.fix}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        """The cause and the fix, without a traceback."""
        if isinstance(excinfo.value, BrokenPromise):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[str, None, str]:
        """Where pytest says it is."""
        return f"ssl-platform:{self.check.subject}", None, self.check.name


class BrokenPromise(Exception):
    """A check failed."""


def _pairs(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, colon, reason = line.partition(":")
        if not colon or not reason.strip():
            raise pytest.UsageError(f"{INI}: {line!r} is not CHECK: REASON")
        yield name.strip(), reason.strip()
