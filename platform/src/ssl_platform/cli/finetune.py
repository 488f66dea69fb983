"""`ssl-platform finetune`."""

from __future__ import annotations

from typing import Any

import click

from ssl_platform.cli.command import Command
from ssl_platform.cli.options import data_options, encoder_option, overrides_argument, parsed, run_option


@click.command(cls=Command, name="finetune", short_help="Train a model for a task from an encoder.")
@encoder_option
@data_options
@click.option("--task", metavar="T", help="Where the labels leave it open: classification, segmentation, ...")
@run_option
@click.option("--resume", is_flag=True, help="Go on with the run in --run that was stopped.")
@overrides_argument
def command(overrides: tuple[str, ...], **options: Any) -> None:
    """Train a model for a task from an encoder, or from random weights.

    ssl-platform finetune --encoder runs/a --data images/ --labels masks/ labels.fraction=0.1 finetune.mode=lora
    """
    from ssl_platform import api

    api.finetune(overrides=parsed(overrides), **options)
