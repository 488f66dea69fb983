"""All six domains keep every promise of the kit, with every objective that fits: the domain x objective matrix.

Every run of the tests trains one objective of each family in every domain, and every objective in at least one; the
whole matrix is `pytest -m "slow or not slow" tests/conformance/test_domains.py -k objective`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from zlib import crc32

import pytest

from ssl_platform.cli.matrix import pairs as listed_pairs
from ssl_platform.plugins import registry
from ssl_platform.testing.conformance import Check, Kit

DOMAINS = ("audio", "medical3d", "multispectral", "pointcloud", "video", "wholeslide")
MANY = 60  # checks of a domain


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a check; the kits live until their last test."""
    if "check" not in metafunc.fixturenames:
        return
    pairs = []
    for name in DOMAINS:
        kit = Kit(name, everything=True)
        metafunc.config.add_cleanup(kit.close)
        checks = list(kit.checks())
        assert len(checks) > MANY
        often = {check.name for check in Kit(name).checks()}
        for check in checks:
            rare = check.name.startswith("objective.") and check.name not in often and turn(check.name) != name
            marks = [pytest.mark.slow] if rare else []
            pairs.append(pytest.param(kit, check, id=f"{name}-{check.name}", marks=marks))
        pairs.append(pytest.param(kit, None, id=f"{name}-closed"))
    metafunc.parametrize(("kit", "check"), pairs)


def turn(check: str) -> str:
    """The domain in whose turn an objective is trained in every run: always the same, spread over those it fits."""
    found = fitting_domains(check.removeprefix("objective."))
    return found[crc32(check.encode()) % len(found)]


@cache
def fitting_domains(objective: str) -> list[str]:
    return [pair["domain"] for pair in listed_pairs() if pair["objective"] == objective and pair["fits"]]


def test_domain(kit: Kit, check: Check | None) -> None:
    if check is None:
        kit.close()  # sample files of six domains need not lie on the disk together
        return
    outcome = kit.perform(check)
    if outcome.status == "skipped":
        pytest.skip(outcome.cause)
    assert not outcome.bad, f"{outcome.cause}\nfix: {outcome.fix}"


def pairs() -> Iterator[tuple[str, str, list[str]]]:
    from ssl_platform.testing.conformance.matrix import gaps
    from ssl_platform.testing.conformance.subject import DomainUnderTest

    for name in DOMAINS:
        domain = DomainUnderTest(name)
        for objective in registry().objectives():
            yield name, objective.name, gaps(domain, objective)


def test_every_pair_is_in_the_matrix_or_says_what_it_lacks() -> None:
    found = list(pairs())
    assert len(found) == len(DOMAINS) * len(registry().objectives())
    assert all("\n" not in why for _, _, lacking in found for why in lacking)
    listed = {(pair["domain"], pair["objective"]): pair["missing"] for pair in listed_pairs()}
    assert all(listed[domain, objective] == lacking for domain, objective, lacking in found)  # `objectives --matrix`
    fitting = {name: sum(not lacking for d, _, lacking in found if d == name) for name in DOMAINS}
    assert min(fitting.values()) >= 7, fitting
