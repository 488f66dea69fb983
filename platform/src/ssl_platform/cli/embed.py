"""`ssl-platform embed`."""

from __future__ import annotations

from typing import Any

import click

from ssl_platform.cli.command import Command
from ssl_platform.cli.options import data_options, encoder_option, overrides_argument, parsed


@click.command(cls=Command, name="embed", short_help="Write embeddings as Parquet.")
@encoder_option
@data_options
@click.option("--out", required=True, metavar="FILE.parquet", help="File that is written.")
@click.option(
    "--level", type=click.Choice(["item", "window", "token"]), default="item", show_default=True, help="A row is..."
)
@overrides_argument
def command(overrides: tuple[str, ...], **options: Any) -> None:
    """Write embeddings as Parquet.

    ssl-platform embed --encoder runs/a --data scans/ --out embeddings.parquet
    """
    from ssl_platform import api

    api.embed(overrides=parsed(overrides), **options)
