"""The shape all listings share: `ssl-platform WHAT [list|show NAME] [--json]`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from ssl_platform.cli.command import Command
from ssl_platform.cli.options import json_option
from ssl_platform.cli.table import show_facts, show_json, show_rows

Row = dict[str, Any]


def listing(
    name: str,
    summary: str,
    rows: Callable[[], list[Row]],
    facts: Callable[[str], Row],
    columns: Sequence[str],
    text: Callable[[Row], str] | None = None,
) -> click.Command:
    """A listing command.

    Args:
        name: of the command.
        summary: its help.
        rows: all rows.
        facts: all about one name; raises for an unknown one.
        columns: what people see of a row.
        text: how people see one; a line for each fact when None.
    """

    @click.command(cls=Command, name=name, help=f"{summary}\n\n`show NAME` says all about one.", short_help=summary)
    @click.argument("action", default="list", type=click.Choice(["list", "show"]), metavar="[list|show NAME]")
    @click.argument("asked", required=False, metavar="")
    @json_option
    def command(action: str, asked: str | None, as_json: bool) -> None:
        if action == "list":
            if asked is not None:
                raise click.UsageError(f"{name} list takes no name: say {name} show {asked}")
            show_rows(rows(), columns, as_json)
            return
        found = facts(named(name, asked))
        if as_json:
            show_json(found)
        elif text is not None:
            click.echo(text(found), nl=False)
        else:
            show_facts(found, as_json)

    return command


def named(command: str, asked: str | None) -> str:
    """The name `show` was given.

    Raises:
        click.UsageError: none was.
    """
    if asked is None:
        raise click.UsageError(f"{command} show needs a name: see ssl-platform {command}")
    return asked
