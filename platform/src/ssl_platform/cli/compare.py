"""`ssl-platform compare`."""

from __future__ import annotations

from typing import Any

import click

from ssl_platform.cli.command import Command
from ssl_platform.cli.options import parsed


@click.command(
    cls=Command, name="compare", short_help="Put finished evaluations side by side, or run the missing ones."
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN ... [KEY=VALUE ...]")
@click.option("--labels", metavar="L", help="Run the missing cells with these labels.")
@click.option("--protocol", metavar="P[,P...]", help="Protocols of the table.")
@click.option("--out", metavar="FILE", help="Also write the table here: .md, .csv or .html.")
def command(runs: tuple[str, ...], **options: Any) -> None:
    """Put finished evaluations side by side; with labels, run the missing ones under the same protocol.

    ssl-platform compare runs/mae-seed0 runs/mae-seed1 runs/random --out table.md

    ssl-platform compare runs/a runs/b random --labels table.csv --protocol knn,linear
    """
    from ssl_platform import api
    from ssl_platform.config.overrides import is_override

    overrides = tuple(word for word in runs if is_override(word))
    folders = [word for word in runs if word not in overrides]
    if not folders:
        raise click.UsageError("compare needs at least one run")
    api.compare(runs=folders, overrides=parsed(overrides), **options)
