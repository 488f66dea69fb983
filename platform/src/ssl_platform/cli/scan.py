"""`ssl-platform scan`."""

from __future__ import annotations

from typing import Any

import click

from ssl_platform.cli.command import Command
from ssl_platform.cli.options import parsed


@click.command(cls=Command, name="scan", short_help="Say what would be used, set aside, quarantined.")
@click.argument("data", nargs=-1, required=False, metavar="DATA ... [KEY=VALUE ...]")
@click.option("--domain", metavar="D", help="Kind of data; told from the files when left out.")
@click.option("--manifest", metavar="TABLE", help="One table with data and facts.")
@click.option("--labels", metavar="L", help="Table, folder of masks, folders, name:REGEX, field:NAME.")
@click.option("--out", metavar="FILE.csv", help="Editable manifest to write.")
def command(data: tuple[str, ...], **options: Any) -> None:
    """Say what would be used, set aside, quarantined: the check to run first.

    ssl-platform scan scans/ --labels labels.csv --out manifest.csv
    """
    from ssl_platform import api
    from ssl_platform.config.overrides import is_override

    overrides = tuple(word for word in data if is_override(word))
    paths = [word for word in data if word not in overrides]
    if not paths and options["manifest"] is None:
        raise click.UsageError("scan needs DATA (files, folders or a quoted glob) or a --manifest")
    api.scan(data=paths, overrides=parsed(overrides), **options)
