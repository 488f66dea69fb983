"""The matrix: which objective fits which domain, told from declarations alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ssl_platform.cli.table import aligned

Pair = dict[str, Any]


def pairs(domain: str | None = None) -> list[Pair]:
    """Every objective on every domain with its default backbone; what is missing where they do not fit.

    Args:
        domain: only this one.
    """
    from ssl_platform.plugins import registry

    known = registry()
    domains = [known.domain(domain)] if domain else known.domains()
    return [
        {
            "objective": objective.name,
            "family": objective.family,
            "domain": kind.name,
            "backbone": kind.default_backbone,
            "fits": not (gaps := _gaps(known, objective, kind)),
            "missing": gaps,
        }
        for objective in known.objectives()
        for kind in domains
    ]


def _gaps(known: Any, objective: Any, domain: Any) -> list[str]:
    """What an objective needs that a domain with its default backbone does not offer."""
    from ssl_platform.errors import PluginError
    from ssl_platform.plugins import missing

    try:
        backbone = known.backbone(domain.default_backbone)
    except PluginError:
        return [f"the backbone {domain.default_backbone}, which is not installed"]
    return missing(objective.needs, domain, backbone)


def lines(found: Sequence[Pair]) -> Iterator[str]:
    """A row an objective, a column a domain; below, what the pairs lack that do not fit, by number."""
    domains = list(dict.fromkeys(pair["domain"] for pair in found))
    reasons: dict[str, list[Pair]] = {}
    cells: dict[tuple[str, str], str] = {}
    for pair in found:
        cell = "ok"
        if not pair["fits"]:
            reasons.setdefault(", ".join(pair["missing"]), []).append(pair)
            cell = f"no ({list(reasons).index(', '.join(pair['missing'])) + 1})"
        cells[pair["objective"], pair["domain"]] = cell
    names = dict.fromkeys((pair["objective"], pair["family"]) for pair in found)
    table = [[name, family, *(cells[name, domain] for domain in domains)] for name, family in names]
    yield from aligned([["OBJECTIVE", "FAMILY", *domains], *table])
    for number, (reason, of) in enumerate(reasons.items(), start=1):
        where = "; ".join(f"{name} on {', '.join(on)}" for name, on in _by_objective(of).items())
        yield f"({number}) needs {reason}: {where}"
    fit = sum(pair["fits"] for pair in found)
    yield f"{fit} of {len(found)} pairs fit (ssl-platform plugins check --matrix trains each)"


def _by_objective(found: Sequence[Pair]) -> dict[str, list[str]]:
    """Domains of some pairs by their objective."""
    by: dict[str, list[str]] = {}
    for pair in found:
        by.setdefault(pair["objective"], []).append(pair["domain"])
    return by
