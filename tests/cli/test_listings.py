"""Listings: for people in columns, for programs as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ssl_platform.cli.main import main

Capture = pytest.CaptureFixture[str]
Install = Callable[..., str]

SONAR = """
from ssl_platform.plugins import DomainDeclaration, hookimpl
SSL_PLATFORM_API = 1

@hookimpl
def ssl_platform_domains():
    return [DomainDeclaration("sonar", "json:JSONDecoder", "Echoes", axes="C T", parts=("main",))]
"""


@pytest.fixture(autouse=True)
def _fresh(install: Install) -> None:
    """Every test discovers plugins anew."""


def listed(capsys: Capture, *words: str) -> Any:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_domains(capsys: Capture) -> None:
    found = {row["name"]: row for row in listed(capsys, "domains")}
    assert found["medical3d"]["axes"] == "C D H W"
    shown = listed(capsys, "domains", "show", "medical3d")
    assert "vit-pico" in shown["backbones"] and "mae" in shown["objectives"]
    assert any(option["key"] == "data.spacing" for option in shown["options"])
    assert main(["domains"]) == 0
    assert capsys.readouterr().out.startswith("NAME")


def test_objectives(capsys: Capture) -> None:
    found = {row["name"]: row for row in listed(capsys, "objectives")}
    assert found["dino"]["family"] == "distillation"
    shown = listed(capsys, "objectives", "show", "mae")
    assert {"backbone with tokens", "backbone with drop"} <= set(shown["needs"])
    assert {setting["key"] for setting in shown["settings"]} >= {"objective.mask_ratio"}
    assert "medical3d" in shown["domains"]


def test_the_matrix_says_what_fits_and_what_is_missing(install: Install, capsys: Capture) -> None:
    install("acme-sonar", SONAR)
    found = {row["name"]: row for row in listed(capsys, "objectives", "--domain", "sonar")}
    assert found["mae"]["fits"] is True and found["mae"]["missing"] == []
    assert main(["objectives", "--domain", "sonar"]) == 0
    assert "FITS" in capsys.readouterr().out.splitlines()[0]


def test_the_whole_matrix_is_printed_with_the_reasons_below(install: Install, capsys: Capture) -> None:
    install("acme-sonar", SONAR.replace('parts=("main",)', 'default_backbone="absent"'))
    found = {(pair["objective"], pair["domain"]): pair for pair in listed(capsys, "objectives", "--matrix")}
    domains = {row["name"] for row in listed(capsys, "domains")}
    names = {row["name"] for row in listed(capsys, "objectives")}
    assert set(found) == {(name, domain) for name in names for domain in domains} and "sonar" in domains
    assert found["mae", "audio"] == {
        "objective": "mae",
        "family": "masked",
        "domain": "audio",
        "backbone": "vit-pico",
        "fits": True,
        "missing": [],
    }
    assert main(["objectives", "--matrix"]) == 0
    head, *shown, sums = capsys.readouterr().out.splitlines()
    assert head.split() == ["OBJECTIVE", "FAMILY", *sorted(domains)]
    row = next(line for line in shown if line.startswith("mae "))
    assert row.split()[2:] == " ".join("no (1)" if name == "sonar" else "ok" for name in sorted(domains)).split()
    (reason,) = (line for line in shown if line.startswith("(1)"))
    assert reason.startswith("(1) needs the backbone absent, which is not installed: ") and "; mae on sonar" in reason
    fit = sum(pair["fits"] for pair in found.values())
    assert fit >= 6 * 7 and sums.startswith(f"{fit} of {len(found)} pairs fit")
    assert {pair["domain"] for pair in listed(capsys, "objectives", "--matrix", "--domain", "video")} == {"video"}
    assert main(["objectives", "show", "mae", "--matrix"]) == 2


def test_recipes(capsys: Capture) -> None:
    names = [row["name"] for row in listed(capsys, "recipes")]
    assert names == sorted(names) and names
    assert main(["recipes", "show", names[0]]) == 0
    assert capsys.readouterr().out.startswith("# ")


def test_datasets(capsys: Capture) -> None:
    found = {row["name"]: row for row in listed(capsys, "datasets")}
    assert found["msd-spleen"]["domain"] == "medical3d"
    assert listed(capsys, "datasets", "show", "msd-spleen")["licence"]


def test_datasets_verify(capsys: Capture, tmp_path: object) -> None:
    assert main(["datasets", "verify", "msd-spleen", f"{tmp_path}/absent"]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert main(["datasets", "verify", "msd-spleen", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_plugins(install: Install, capsys: Capture) -> None:
    install("acme-sonar", SONAR, name="sonar", version="3.1")
    found = {row["name"]: row for row in listed(capsys, "plugins")}
    assert found["sonar"] | {"milliseconds": 0} == {
        "name": "sonar",
        "distribution": "acme-sonar",
        "version": "3.1",
        "module": "plugin_acme_sonar",
        "status": "ok",
        "api": 1,
        "cause": "",
        "domains": ["sonar"],
        "objectives": [],
        "backbones": [],
        "tasks": [],
        "protocols": [],
        "datasets": [],
        "checks": [],
        "milliseconds": 0,
        "heavy": [],
    }
    assert listed(capsys, "plugins", "show", "acme-sonar")["name"] == "sonar"
    assert main(["plugins", "--requirements"]) == 0
    assert "acme-sonar==3.1\n" in capsys.readouterr().out


def test_cache(capsys: Capture, tmp_path: object) -> None:
    found = listed(capsys, "cache", "list", f"cache.dir={tmp_path}")
    assert found == {"folder": str(tmp_path), "items": []}
    assert listed(capsys, "cache", "verify", f"cache.dir={tmp_path}")["items"] == []
    assert listed(capsys, "cache", "prune", f"cache.dir={tmp_path}", "cache.max_gb=1") == {
        "folder": str(tmp_path),
        "removed": 0,
        "bytes": 0,
    }
