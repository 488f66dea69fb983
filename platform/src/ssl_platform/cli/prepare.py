"""`ssl-platform prepare`."""

from __future__ import annotations

import re
from typing import Any

import click

from ssl_platform.cli.command import Command
from ssl_platform.cli.options import parsed

_UNITS = {"": 1.0, "M": 1.0, "MB": 1.0, "G": 1000.0, "GB": 1000.0, "K": 0.001, "KB": 0.001}


def _megabytes(context: click.Context, parameter: click.Parameter, text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?B?)", text.upper())
    if found is None or found[2] not in _UNITS or float(found[1]) == 0:
        raise click.BadParameter(f"{text!r}: write a size such as 256MB or 1GB", context, parameter)
    return float(found[1]) * _UNITS[found[2]]


@click.command(cls=Command, name="prepare", short_help="Pack data into shards that --data reads.")
@click.argument("data", nargs=-1, required=False, metavar="DATA ... [KEY=VALUE ...]")
@click.option("--domain", metavar="D", help="Kind of data; told from the files when left out.")
@click.option("--manifest", metavar="TABLE", help="One table with data and facts.")
@click.option("--labels", metavar="L", help="Table, folder of masks, folders, name:REGEX, field:NAME.")
@click.option("--out", required=True, metavar="DIR_OR_URL", help="Folder, or an address fsspec knows.")
@click.option(
    "--shard-size",
    "shard_mb",
    default="256MB",
    show_default=True,
    metavar="SIZE",
    callback=_megabytes,
    help="Largest size of a shard.",
)
@click.option("--exact", is_flag=True, help="Windows bit for bit as from the source: videos are packed as they are.")
def command(data: tuple[str, ...], **options: Any) -> None:
    """Write what --data accepts: each item in the form it is read from, packed into shards.

    ssl-platform prepare scans/ --domain medical3d --labels labels.csv --out prepared/

    A run that was stopped goes on where it was when the same command is given again.
    """
    from ssl_platform import api
    from ssl_platform.config.overrides import is_override

    overrides = tuple(word for word in data if is_override(word))
    paths = [word for word in data if word not in overrides]
    if not paths and options["manifest"] is None and options["domain"] is None:
        raise click.UsageError("prepare needs DATA (files, folders or a quoted glob), a --manifest, or a --domain")
    api.prepare(data=paths, overrides=parsed(overrides), **options)
