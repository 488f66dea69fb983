"""`ssl-platform pretrain`."""

from __future__ import annotations

from typing import Any

import click

from ssl_platform.cli.command import Command
from ssl_platform.cli.options import data_options, overrides_argument, parsed, run_option


@click.command(cls=Command, name="pretrain", short_help="Pretrain an encoder on unlabelled data.")
@click.option("--domain", metavar="D", help="Kind of data; see ssl-platform domains.")
@data_options
@click.option("--objective", metavar="O", help="Default: the domain's; see ssl-platform objectives.")
@click.option("--backbone", metavar="B", help="Default: the domain's, e.g. vit-small, timm:resnet50.")
@click.option("--init", metavar="RUN_OR_FILE", help="Start from these weights.")
@click.option("--config", multiple=True, metavar="FILE", help="Recipe file or name; repeatable, later wins.")
@run_option
@click.option("--resume", is_flag=True, help="Continue the run in --run.")
@click.option("--seed", type=int, metavar="N", help="Seed of every draw.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, after one real step, and stop.")
@click.option("--print-config", is_flag=True, help="Print the resolved configuration and where each value came from.")
@overrides_argument
def command(overrides: tuple[str, ...], dry_run: bool, print_config: bool, **options: Any) -> None:
    """Pretrain an encoder on unlabelled data.

    Without --data it uses the domain's sample data. Example:

        ssl-platform pretrain --domain medical3d --data scans/ trainer.max_steps=5000 optim.lr=1e-3
    """
    from ssl_platform import api

    values = parsed(overrides)
    if print_config:
        from ssl_platform.config.provenance import dump

        click.echo(dump(api.pretrain_config(overrides=values, **options), sources=True), nl=False)
        return
    api.pretrain(overrides=values, dry_run=dry_run, **options)
