"""One broken plugin costs nothing but itself, and its row says why."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ssl_platform.plugins import API, PluginRecord, Registry, discover

Install = Callable[..., str]

GOOD = """
from ssl_platform.plugins import DomainDeclaration, hookimpl
SSL_PLATFORM_API = 1

@hookimpl
def ssl_platform_domains():
    return [DomainDeclaration(name="{name}", factory="json:JSONDecoder", axes="C T")]
"""


def row(name: str, disabled: tuple[str, ...] = ()) -> PluginRecord:
    records = {record.name: record for record in discover(disabled)}
    assert records["core"].status == "ok", "the core always works"
    return records[name]


def test_a_good_plugin_is_ok_and_listed(install: Install) -> None:
    name = install("acme-audio", GOOD.format(name="acmeaudio"), version="2.3")
    found = row(name)
    assert (found.status, found.distribution, found.version, found.api) == ("ok", "acme-audio", "2.3", 1)
    assert found.names("domain") == ["acmeaudio"]
    assert found.as_dict()["domains"] == ["acmeaudio"]


BROKEN = {
    "import error": ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
    "syntax error": ("def (", "SyntaxError"),
    "exits on import": ("raise SystemExit(3)", "SystemExit: 3"),
    "no api number": ("x = 1", "declares no API number"),
    "api number is text": ("SSL_PLATFORM_API = '1'", "declares no API number"),
    "wrong signature": (
        "from ssl_platform.plugins import hookimpl\nSSL_PLATFORM_API = 1\n"
        "@hookimpl\ndef ssl_platform_domains(colour):\n    return []",
        "wrong signature",
    ),
    "misspelt hook": (
        "from ssl_platform.plugins import hookimpl\nSSL_PLATFORM_API = 1\n"
        "@hookimpl\ndef ssl_platform_domain():\n    return []",
        "unknown hook 'ssl_platform_domain' (did you mean 'ssl_platform_domains'?)",
    ),
    "hook raises": (
        "from ssl_platform.plugins import hookimpl\nSSL_PLATFORM_API = 1\n"
        "@hookimpl\ndef ssl_platform_domains():\n    return 1 / 0",
        "hook ssl_platform_domains raised ZeroDivisionError: division by zero",
    ),
    "wrong declaration": (
        "from ssl_platform.plugins import TaskDeclaration, hookimpl\nSSL_PLATFORM_API = 1\n"
        "@hookimpl\ndef ssl_platform_domains():\n    return [TaskDeclaration('a', 'b:C')]",
        "must return DomainDeclaration objects, got TaskDeclaration",
    ),
    "not a list": (
        "from ssl_platform.plugins import DomainDeclaration, hookimpl\nSSL_PLATFORM_API = 1\n"
        "@hookimpl\ndef ssl_platform_domains():\n    return DomainDeclaration('a', 'b:C')",
        "must return a list of DomainDeclaration",
    ),
    "nothing returned": (
        "from ssl_platform.plugins import hookimpl\nSSL_PLATFORM_API = 1\n@hookimpl\ndef ssl_platform_domains(): pass",
        "must return a list of DomainDeclaration, got NoneType",
    ),
    "factory is no string": (
        "from ssl_platform.plugins import DomainDeclaration, hookimpl\nSSL_PLATFORM_API = 1\n"
        "@hookimpl\ndef ssl_platform_domains():\n    return [DomainDeclaration('a', 'no colon')]",
        "write 'package.module:Name'",
    ),
    "same name twice": (
        "from ssl_platform.plugins import DomainDeclaration, hookimpl\nSSL_PLATFORM_API = 1\n"
        "@hookimpl\ndef ssl_platform_domains():\n    return [DomainDeclaration('a', 'b:C')] * 2",
        "declares the domain 'a' twice",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_plugin_is_a_row_with_its_cause(install: Install, fault: str) -> None:
    code, cause = BROKEN[fault]
    found = row(install("acme-broken", code))
    assert found.status == "broken"
    assert cause in found.cause
    assert "\n" not in found.cause
    assert found.declared == {}


@pytest.mark.parametrize(("number", "whom"), [(API + 1, "upgrade ssl-platform"), (API - 2, "upgrade acme-old")])
def test_another_api_number_is_incompatible(install: Install, number: int, whom: str) -> None:
    found = row(install("acme-old", f"SSL_PLATFORM_API = {number}"))
    assert found.status == "incompatible"
    assert f"API {number}" in found.cause and whom in found.cause


def test_the_previous_api_number_is_accepted(install: Install) -> None:
    code = GOOD.format(name="acmeold").replace("API = 1", f"API = {API - 1}")
    assert row(install("acme-old", code)).status == "ok"


def test_two_plugins_with_one_name_are_both_in_conflict(install: Install) -> None:
    one = install("acme-one", GOOD.format(name="sonar"))
    two = install("acme-two", GOOD.format(name="sonar"))
    assert {row(one).status, row(two).status} == {"conflict"}
    assert row(one).cause == "domain 'sonar' is also offered by acme-two"


def test_one_entry_point_name_in_two_distributions_is_two_rows(install: Install) -> None:
    install("acme-one", GOOD.format(name="one"), name="same")
    install("acme-two", GOOD.format(name="two"), name="same")
    rows = [record for record in discover() if record.name == "same"]
    assert [record.distribution for record in rows] == ["acme-one", "acme-two"]
    assert {record.status for record in rows} == {"ok"}


def test_off_by_option_and_by_environment(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    name = install("acme-audio", "raise RuntimeError('imported')")
    assert row(name, (name,)).status == "disabled"
    assert row(name, ("acme-audio",)).cause == "by --disable-plugin"
    monkeypatch.setenv("SSL_PLATFORM_DISABLE_PLUGINS", f"other, {name}")
    assert row(name).status == "disabled"
    assert row(name).cause == "by SSL_PLATFORM_DISABLE_PLUGINS"


def test_the_core_cannot_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_PLATFORM_DISABLE_PLUGINS", "core,ssl-platform")
    assert row("core").status == "ok"


def test_rows_are_sorted_by_name(install: Install) -> None:
    install("zeta", GOOD.format(name="zeta"), name="zeta")
    install("alpha", GOOD.format(name="alpha"), name="alpha")
    names = [record.name for record in discover()]
    assert names == sorted(names)


def test_a_damaged_distribution_is_still_a_row(install: Install, tmp_path: object) -> None:
    from pathlib import Path

    name = install("acme-audio", GOOD.format(name="acmeaudio"))
    (Path(str(tmp_path)) / "acme-audio" / "acme_audio-1.0.dist-info" / "METADATA").unlink()
    assert row(name).status == "ok"


def test_problems_name_every_plugin_that_does_not_work(install: Install) -> None:
    install("acme-broken", "import no_such_library", name="broken")
    install("acme-new", "SSL_PLATFORM_API = 99", name="new")
    text = "\n".join(Registry(discover()).problems())
    assert "plugin 'broken' (acme-broken 1.0) is broken: ModuleNotFoundError" in text
    assert "plugin 'new' (acme-new 1.0) is incompatible" in text
