"""`ssl-platform objectives`."""

from __future__ import annotations

from typing import Any

import click

from ssl_platform.cli.command import Command
from ssl_platform.cli.listing import named
from ssl_platform.cli.matrix import lines, pairs
from ssl_platform.cli.options import json_option
from ssl_platform.cli.table import show_facts, show_json, show_rows


def rows(domain: str | None) -> list[dict[str, Any]]:
    """One row an objective; with a domain, whether it fits there with the domain's default backbone."""
    from ssl_platform.plugins import missing, registry

    known = registry()
    kind = known.domain(domain) if domain else None
    found = []
    for objective in known.objectives():
        row: dict[str, Any] = {"name": objective.name, "family": objective.family, "summary": objective.summary}
        if kind is not None:
            gaps = missing(objective.needs, kind, known.backbone(kind.default_backbone))
            row |= {"fits": not gaps, "missing": gaps}
        found.append({**row, "paper": objective.paper, "distribution": known.owner(objective).distribution})
    return found


def facts(name: str) -> dict[str, Any]:
    """All about one objective."""
    from ssl_platform.plugins import missing, registry

    known = registry()
    objective = known.objective(name)
    return {
        "name": objective.name,
        "family": objective.family,
        "summary": objective.summary,
        "paper": objective.paper,
        "distribution": known.owner(objective).distribution,
        "needs": needs_words(objective.needs.as_dict()),
        "domains": [d.name for d in known.domains() if not missing(objective.needs, d)],
        "settings": [
            {
                "key": f"objective.{setting.name}",
                "default": setting.default,
                "type": setting.type,
                "meaning": setting.description,
            }
            for setting in objective.settings
        ],
    }


def needs_words(needs: dict[str, Any]) -> list[str]:
    """A plan in a few words: views, then everything that is asked for."""
    views = [f"{view['count']} {view['role']} view{'s' if view['count'] > 1 else ''}" for view in needs["views"]]
    reads = needs["reads"]
    if reads["count"] > 1:
        views.append(f"{reads['count']} reads related by {reads['relation']}")
    asked = [f"backbone with {offer}" for offer in needs["offers"]]
    flags = [
        key.replace("_", " ") for key in ("grid", "stable", "groups", "batch_coupled", "host_solver") if needs[key]
    ]
    labels = [f"labels ({needs['labels']})"] if needs["labels"] else []
    models = [f"model {name} ({model['kind']})" for name, model in needs["models"]]
    batch = [f"batch of at least {needs['min_batch']}"] if needs["min_batch"] > 1 else []
    refresh = [f"whole-set pass every {needs['refresh']['every']}"] if needs["refresh"] else []
    channels = [f"at least {needs['min_channels']} channels"] if needs["min_channels"] > 1 else []
    pretext = [f"a {' or '.join(needs['pretext'])} whose answer can be told"] if needs["pretext"] else []
    return [*views, *asked, *flags, *labels, *models, *batch, *refresh, *channels, *pretext]


@click.command(cls=Command, name="objectives", short_help="Objectives installed, and where they fit.")
@click.argument("action", default="list", type=click.Choice(["list", "show"]), metavar="[list|show NAME]")
@click.argument("asked", required=False, metavar="")
@click.option("--domain", metavar="D", help="Say which fit this domain, and what the others lack.")
@click.option("--matrix", "as_matrix", is_flag=True, help="Every objective on every domain: fits, or what is missing.")
@json_option
def command(action: str, asked: str | None, domain: str | None, as_matrix: bool, as_json: bool) -> None:
    """Objectives installed, and where they fit.

    `show NAME` says all about one: its paper, its needs, its settings. `--matrix` puts objectives and domains side by
    side; nothing is trained for it.
    """
    if as_matrix:
        if action == "show":
            raise click.UsageError("--matrix is of all objectives: leave out show")
        found = pairs(domain)
        if as_json:
            show_json(found)
        else:
            click.echo("\n".join(lines(found)))
    elif action == "show":
        show_facts(facts(named("objectives", asked)), as_json)
    else:
        columns = ("name", "family", "fits", "missing", "summary") if domain else ("name", "family", "summary")
        show_rows(rows(domain), columns, as_json)
