"""`ssl-platform datasets`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from ssl_platform.cli.command import Command
from ssl_platform.cli.listing import named
from ssl_platform.cli.options import json_option
from ssl_platform.cli.table import show_facts, show_rows

ACTIONS = ("list", "show", "verify")


@click.command(cls=Command, name="datasets", short_help="Public datasets the platform knows as they are downloaded.")
@click.argument("action", default="list", metavar="[list|show NAME|verify NAME DIR]", type=click.Choice(ACTIONS))
@click.argument("asked", required=False, metavar="")
@click.argument("folder", required=False, metavar="")
@json_option
def command(action: str, asked: str | None, folder: str | None, as_json: bool) -> None:
    """Public datasets the platform knows as they are downloaded.

    `verify NAME DIR` says whether a download is complete. Nothing is downloaded.
    """
    from ssl_platform.plugins import registry

    if action == "list":
        rows: list[dict[str, Any]] = [asdict(dataset) for dataset in registry().datasets()]
        show_rows(rows, ("name", "domain", "tasks", "items", "licence", "summary"), as_json)
    elif action == "show":
        show_facts(asdict(registry().dataset(named("datasets", asked))), as_json)
    else:
        from ssl_platform.downloads import verify_download

        if folder is None:
            raise click.UsageError("say ssl-platform datasets verify NAME DIR")
        show_facts(verify_download(registry().dataset(named("datasets", asked)), folder), as_json)
