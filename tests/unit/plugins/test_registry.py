"""Lookup by name: close matches, conflicts, prefixes, what a name's absent plugin was."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from ssl_platform.errors import PluginError
from ssl_platform.plugins import (
    BackboneDeclaration,
    Declaration,
    DomainDeclaration,
    PluginRecord,
    Registry,
    disable,
    registry,
)

Install = Callable[..., str]


def record(distribution: str, kind: str, *declared: Declaration) -> PluginRecord:
    return PluginRecord(distribution, distribution, "1.0", "module", "ok", 1, declared={kind: declared})


SONAR = DomainDeclaration("sonar", "json:JSONDecoder")


def test_unknown_name_gives_a_close_one_and_all() -> None:
    with pytest.raises(PluginError, match=r"unknown domain 'soner' \(did you mean 'sonar'\?\); known: sonar"):
        Registry([record("acme", "domain", SONAR)]).domain("soner")


def test_neither_of_two_wins_and_the_distribution_chooses() -> None:
    other = DomainDeclaration("sonar", "json:JSONEncoder")
    both = Registry([record("acme", "domain", SONAR), record("bolt", "domain", other)])
    assert both.domains() == []
    with pytest.raises(PluginError, match="offered by acme and bolt: say --domain acme:sonar, or disable one"):
        both.domain("sonar")
    assert both.domain("acme:sonar") is SONAR
    assert both.domain("bolt:sonar") is other
    assert both.load(both.domain("bolt:sonar")) is json.JSONEncoder
    with pytest.raises(PluginError, match="unknown domain 'cord:sonar'"):
        both.domain("cord:sonar")


def test_a_name_of_another_distribution() -> None:
    known = Registry([record("acme", "domain", SONAR), record("bolt", "domain", DomainDeclaration("radar", "a:B"))])
    with pytest.raises(PluginError, match="'sonar' is not offered by bolt but by acme"):
        known.domain("bolt:sonar")


def test_a_prefix_serves_every_name_behind_it() -> None:
    timm = BackboneDeclaration("timm:*", "a:B")
    known = Registry([record("ssl-platform", "backbone", timm)])
    assert known.backbone("timm:resnet50") is timm
    assert known.backbone("ssl-platform:timm:resnet50") is timm
    with pytest.raises(PluginError):
        known.backbone("timm:")


def test_loading_names_declaration_and_distribution() -> None:
    gone = DomainDeclaration("sonar", "no_such_module:Sonar")
    with pytest.raises(PluginError, match="domain 'sonar' of acme: cannot import no_such_module"):
        Registry([record("acme", "domain", gone)]).load(gone)
    absent = DomainDeclaration("sonar", "json:Sonar")
    with pytest.raises(PluginError, match="module json has no 'Sonar'"):
        Registry([record("acme", "domain", absent)]).load(absent)


def test_a_name_like_a_broken_plugin_says_so(install: Install) -> None:
    install("acme-sonar", "import no_such_library", name="sonar")
    with pytest.raises(PluginError, match=r"its plugin \(acme-sonar 1.0\) is broken: .*no_such_library"):
        registry().domain("sonar")


def test_disabling_what_is_not_installed_is_an_error(install: Install) -> None:
    install("acme-sonar", "SSL_PLATFORM_API = 1", name="sonar")
    disable(["soner"])
    with pytest.raises(PluginError, match=r"--disable-plugin soner: no such plugin \(did you mean 'sonar'\?\)"):
        registry()


def test_disabling_the_core_is_an_error(install: Install) -> None:
    with pytest.raises(PluginError, match="the core cannot be disabled"):
        disable(["core"])


def test_the_core_offers_its_objectives_and_backbones() -> None:
    names = [objective.name for objective in registry().objectives()]
    assert {"simclr", "vicreg", "byol", "dino", "swav", "mae", "i-jepa"} <= set(names)
    assert registry().backbone("vit-small").preset == {"size_name": "small"}
