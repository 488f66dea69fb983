"""A broken third-party plugin in the environment: every command still works and names it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from ssl_platform.cli.main import main

Capture = pytest.CaptureFixture[str]
Install = Callable[..., str]

HEAD = "from ssl_platform.plugins import DomainDeclaration, hookimpl\nSSL_PLATFORM_API = 1\n"
FAULTS = {
    "import error": ("import no_such_library", "broken", "No module named 'no_such_library'"),
    "wrong signature": (f"{HEAD}@hookimpl\ndef ssl_platform_domains(x):\n    return []", "broken", "wrong signature"),
    "duplicate name": (
        f"{HEAD}@hookimpl\ndef ssl_platform_domains():\n"
        "    return [DomainDeclaration('medical3d', 'json:JSONDecoder')]",
        "conflict",
        "domain 'medical3d' is also offered by ssl-platform-medical3d",
    ),
    "wrong api": ("SSL_PLATFORM_API = 99", "incompatible", "API 99"),
}
COMMANDS = [
    ["domains"],
    ["objectives"],
    ["recipes"],
    ["datasets"],
    ["cache"],
    ["pretrain", "--domain", "ssl-platform-medical3d:medical3d", "--print-config"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_command_works_and_names_it(install: Install, capsys: Capture, fault: str, words: list[str]) -> None:
    code, status, cause = FAULTS[fault]
    install("acme-bad", code, name="bad")
    assert main(words) == 0
    captured = capsys.readouterr()
    assert captured.out
    lines = [line for line in captured.err.splitlines() if "'bad'" in line]
    assert len(lines) == 1 and lines[0].startswith("warning: plugin 'bad' (acme-bad 1.0) is")
    assert cause in lines[0] and status in lines[0]


@pytest.mark.parametrize("fault", FAULTS)
def test_plugins_shows_status_and_cause(install: Install, capsys: Capture, fault: str) -> None:
    code, status, cause = FAULTS[fault]
    install("acme-bad", code, name="bad")
    assert main(["plugins", "--json"]) == 0
    row = next(row for row in json.loads(capsys.readouterr().out) if row["name"] == "bad")
    assert row["status"] == status and cause in row["cause"]


def test_a_name_claimed_twice_is_refused_with_the_way_out(install: Install, capsys: Capture) -> None:
    install("acme-bad", FAULTS["duplicate name"][0], name="bad")
    assert main(["pretrain", "--domain", "medical3d", "--print-config"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == (
        "error: domain 'medical3d' is offered by acme-bad and ssl-platform-medical3d: say --domain acme-bad:medical3d, "
        "or disable one with --disable-plugin"
    )
    assert main(["pretrain", "--domain", "medical3d", "--print-config", "--disable-plugin", "bad"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("place", ["before", "after"])
def test_disabling_silences_it(install: Install, capsys: Capture, place: str) -> None:
    install("acme-bad", "import no_such_library", name="bad")
    off = ["--disable-plugin", "bad"]
    assert main([*off, "domains"] if place == "before" else ["domains", *off]) == 0
    assert capsys.readouterr().err == ""


def test_other_ranks_are_silent(install: Install, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    install("acme-bad", "import no_such_library", name="bad")
    monkeypatch.setenv("RANK", "1")
    assert main(["domains"]) == 0
    assert capsys.readouterr().err == ""
