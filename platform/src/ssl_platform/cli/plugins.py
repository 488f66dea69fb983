"""`ssl-platform plugins`."""

from __future__ import annotations

from typing import Any

import click

from ssl_platform.cli.command import Command
from ssl_platform.cli.listing import named
from ssl_platform.cli.options import json_option
from ssl_platform.cli.table import show_facts, show_rows


def facts(name: str) -> dict[str, Any]:
    """All about one plugin, by entry-point or distribution name."""
    from ssl_platform.errors import PluginError, did_you_mean
    from ssl_platform.plugins import registry

    records = registry().records
    for record in records:
        if name in (record.name, record.distribution):
            return record.as_dict()
    names = [record.name for record in records]
    raise PluginError(f"no plugin {name!r}{did_you_mean(name, names)}; installed: {', '.join(names)}")


def requirements() -> list[str]:
    """Pins of everything installed that brings a plugin."""
    from ssl_platform.plugins import registry

    return sorted({f"{record.distribution}=={record.version}" for record in registry().records})


@click.command(cls=Command, name="plugins", announce=False, short_help="What is installed, and what is wrong with it.")
@click.argument("action", default="list", type=click.Choice(["list", "show"]), metavar="[list|show NAME]")
@click.argument("asked", required=False, metavar="")
@click.option("--requirements", "pins", is_flag=True, help="Print pins for pip install -r.")
@json_option
def command(action: str, asked: str | None, pins: bool, as_json: bool) -> None:
    """What is installed, from where, and what is wrong with it.

    The status is ok, broken, incompatible, conflict or disabled. SSL_PLATFORM_DISABLE_PLUGINS=a,b or
    --disable-plugin a leaves a plugin out.
    """
    from ssl_platform.plugins import registry

    if pins:
        click.echo("\n".join(requirements()))
    elif action == "show":
        show_facts(facts(named("plugins", asked)), as_json)
    else:
        rows = [record.as_dict() for record in registry().records]
        show_rows(rows, ("name", "distribution", "version", "api", "status", "domains", "cause"), as_json)
