"""`ssl-platform analyze`."""

from __future__ import annotations

from typing import Any

import click

from ssl_platform.cli.command import Command
from ssl_platform.cli.options import data_options, overrides_argument, parsed, run_option


@click.command(cls=Command, name="analyze", short_help="Say what a representation knows.")
@click.option(
    "--encoder",
    required=True,
    multiple=True,
    metavar="RUN_OR_FILE",
    help="Run, RUN@STEP, encoder file, or random; repeatable.",
)
@data_options
@run_option
@overrides_argument
def command(overrides: tuple[str, ...], **options: Any) -> None:
    """Say what a representation knows, beside the same net with random weights.

        ssl-platform analyze --encoder runs/a --encoder runs/b --data scans/ --labels table.csv

    Writes analysis.json; analyze.measures=[attention,cka] runs some of the analyses only.
    """
    from ssl_platform import api

    api.analyze(overrides=parsed(overrides), **options)
