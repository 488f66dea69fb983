"""`ssl-platform probe`."""

from __future__ import annotations

from typing import Any

import click

from ssl_platform.cli.command import Command
from ssl_platform.cli.options import data_options, encoder_option, overrides_argument, parsed, run_option


@click.command(cls=Command, name="probe", short_help="Evaluate an encoder without changing it.")
@encoder_option
@data_options
@click.option(
    "--protocol",
    metavar="P[,P...]",
    help="knn, linear, linear-layers, svm, attentive, fewshot, semi-supervised, clustering..: docs/command_line.md",
)
@click.option("--task", metavar="T", help="Where labels leave it open; or retrieval, fewshot, clustering, anomaly..")
@run_option
@overrides_argument
def command(overrides: tuple[str, ...], **options: Any) -> None:
    """Evaluate an encoder without changing it.

        ssl-platform probe --encoder runs/a --data scans/ --labels table.csv --protocol knn,linear

    With --encoder random add domain=NAME.
    """
    from ssl_platform import api

    api.probe(overrides=parsed(overrides), **options)
