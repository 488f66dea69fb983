"""`ssl-platform new-plugin`."""

from __future__ import annotations

import shlex
from typing import Literal

import click

from ssl_platform.cli.command import Command


@click.command(cls=Command, name="new-plugin", short_help="Write a plugin of your own that works at once.")
@click.argument("name")
@click.option("--into", default=".", show_default=True, metavar="DIR", help="Folder that gets the plugin's folder.")
@click.option(
    "--kind",
    type=click.Choice(["domain", "objective"]),
    default="domain",
    show_default=True,
    help="A kind of data, or a method.",
)
def command(name: str, into: str, kind: Literal["domain", "objective"]) -> None:
    """Write a plugin of your own that works at once.

    ssl-platform new-plugin eeg

    It reads multi-channel signals (CSV, NPY, EDF), or with --kind objective trains by a method in one file; it is
    typed, tested and can be installed as it is. docs/plugins.md says what to change.
    """
    from pathlib import Path

    from ssl_platform.scaffold.names import names_of
    from ssl_platform.scaffold.write import write_plugin

    names = names_of(name, kind)
    folder = write_plugin(names, kind, Path(into))
    count = sum(path.is_file() for path in folder.rglob("*"))
    asks = f"--domain {names.name}" if kind == "domain" else f"--objective {names.name} --domain {_some_domain()}"
    click.echo(f"{folder}: {count} files, licence Apache-2.0 (another: LICENSE and pyproject.toml)")
    click.echo("next:")
    click.echo(f"  pip install -e {shlex.quote(str(folder))}")
    click.echo(f"  ssl-platform plugins check {names.name}")
    click.echo(f"  ssl-platform pretrain {asks}")


def _some_domain() -> str:
    """A domain to try an objective on."""
    from ssl_platform.plugins import registry

    return next((domain.name for domain in registry().domains()), "DOMAIN")
