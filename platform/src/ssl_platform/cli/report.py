"""`ssl-platform report`."""

from __future__ import annotations

import click

from ssl_platform.cli.command import Command


@click.command(cls=Command, name="report", short_help="Write a run's page.")
@click.argument("run")
@click.option("--anonymous", is_flag=True, help="Without paths, names and pictures.")
def command(run: str, anonymous: bool) -> None:
    """Write a run's self-contained page and print its path."""
    from ssl_platform import api

    click.echo(f"report: {api.report(run=run, anonymous=anonymous)}")
