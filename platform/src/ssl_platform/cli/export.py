"""`ssl-platform export`."""

from __future__ import annotations

from typing import Any

import click

from ssl_platform.cli.command import Command


@click.command(cls=Command, name="export", short_help="Write an encoder or a model for use elsewhere.")
@click.option("--encoder", metavar="RUN_OR_FILE", help="Run, RUN@STEP or encoder file.")
@click.option("--model", metavar="RUN", help="Run of finetune.")
@click.option(
    "--format",
    type=click.Choice(["torch", "onnx", "timm", "monai", "nnunet"]),
    default="torch",
    show_default=True,
    help="What loads it.",
)
@click.option("--out", required=True, metavar="PATH", help="What is written.")
def command(**options: Any) -> None:
    """Write an encoder or a model for use elsewhere.

    ssl-platform export --encoder runs/a --format torch --out encoder/
    """
    from ssl_platform import api

    api.export(**options)
