"""`ssl-platform domains`."""

from __future__ import annotations

from typing import Any

import click

from ssl_platform.cli.listing import listing


def rows() -> list[dict[str, Any]]:
    """One row a domain."""
    from ssl_platform.plugins import registry

    known = registry()
    return [
        {
            "name": domain.name,
            "axes": domain.axes,
            "files": list(domain.suffixes),
            "tasks": list(domain.tasks),
            "objective": domain.default_objective,
            "backbone": domain.default_backbone,
            "distribution": known.owner(domain).distribution,
            "summary": domain.summary,
        }
        for domain in known.domains()
    ]


def facts(name: str) -> dict[str, Any]:
    """All that is declared of one domain, and what fits it."""
    from dataclasses import asdict

    from ssl_platform.plugins import fitting, registry
    from ssl_platform.plugins.fit import encodes

    known = registry()
    domain = known.domain(name)
    options = [
        {"key": f"data.{key}", "default": field.default, "meaning": field.description or ""}
        for key, field in known.options(name).model_fields.items()
    ]
    return {
        **asdict(domain),
        "distribution": known.owner(domain).distribution,
        "backbones": [backbone.name for backbone in known.backbones() if encodes(backbone, domain)],
        "objectives": fitting(known.objectives(), domain, known.backbone(domain.default_backbone)),
        "options": options,
    }


command: click.Command = listing(
    "domains", "Kinds of data installed.", rows, facts, ("name", "axes", "tasks", "objective", "backbone", "summary")
)
