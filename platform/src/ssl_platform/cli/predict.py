"""`ssl-platform predict`."""

from __future__ import annotations

from typing import Any

import click

from ssl_platform.cli.command import Command
from ssl_platform.cli.options import data_options, overrides_argument, parsed


@click.command(cls=Command, name="predict", short_help="Apply a model to data, in the source's own geometry.")
@click.option("--model", required=True, metavar="RUN", help="Run of finetune.")
@data_options
@click.option("--out", required=True, metavar="DIR", help="Folder that is written.")
@overrides_argument
def command(overrides: tuple[str, ...], **options: Any) -> None:
    """Apply a model to data, in the source's own geometry; with labels, score it.

    ssl-platform predict --model runs/f --data scans/ --out masks/
    """
    from ssl_platform import api

    api.predict(overrides=parsed(overrides), **options)
