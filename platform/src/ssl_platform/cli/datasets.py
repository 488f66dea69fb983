"""`ssl-platform datasets`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssl_platform.cli.command import Command
from ssl_platform.cli.listing import named
from ssl_platform.cli.options import json_option
from ssl_platform.cli.table import show_facts, show_json, show_rows

if TYPE_CHECKING:
    from ssl_platform.downloads import Download
    from ssl_platform.plugins import DatasetDeclaration

ACTIONS = ("list", "show", "verify", "manifest")
SHOWN = 100
COLUMNS = ("name", "domain", "tasks", "items", "adapter", "licence", "summary")
USAGE = {
    "list": "datasets list",
    "show": "datasets show NAME",
    "verify": "datasets verify [NAME] DIR",
    "manifest": "datasets manifest [NAME] DIR --out FILE.csv",
}


@click.command(cls=Command, name="datasets", short_help="Public datasets the platform knows as they are downloaded.")
@click.argument(
    "action",
    default="list",
    metavar="[list|show NAME|verify [NAME] DIR|manifest [NAME] DIR --out FILE.csv]",
    type=click.Choice(ACTIONS),
)
@click.argument("words", nargs=-1, metavar="")
@click.option("--out", metavar="FILE.csv", help="Manifest to write (datasets manifest).")
@click.option("--quick", is_flag=True, help="Look only whether files are there and not empty (datasets verify).")
@json_option
def command(action: str, words: tuple[str, ...], out: str | None, quick: bool, as_json: bool) -> None:
    """Public datasets the platform knows as they are downloaded.

    `verify DIR` says whether a download is complete, `manifest DIR --out FILE.csv` writes its files, labels and
    splits as the table that --manifest reads. Nothing is downloaded.
    """
    from ssl_platform.plugins import registry

    _check(action, words, out, quick)
    if action == "list":
        show_rows([_row(dataset) for dataset in registry().datasets()], COLUMNS, as_json)
    elif action == "show":
        show_facts(_facts(registry().dataset(named("datasets", next(iter(words), None)))), as_json)
    else:
        from ssl_platform.downloads import tell_dataset, verify_download, write_rows

        folder = words[-1]
        if len(words) == 1 and not Path(folder).exists() and folder in {known.name for known in registry().datasets()}:
            raise click.UsageError(f"{folder} is a dataset: say also where it lies, ssl-platform {USAGE[action]}")
        dataset = registry().dataset(words[0]) if len(words) == 2 else tell_dataset(folder)
        if action == "verify":
            _verified(verify_download(dataset, folder, quick=quick, out=sys.stderr), as_json)
        else:
            assert out is not None
            _written(dataset, write_rows(dataset, folder, out), out, as_json)


def _check(action: str, words: tuple[str, ...], out: str | None, quick: bool) -> None:
    """Hold the words to the action.

    Raises:
        click.UsageError: too many or too few.
    """
    allowed = {"list": (0,), "show": (0, 1), "verify": (1, 2), "manifest": (1, 2)}[action]
    if len(words) not in allowed or (out is None) == (action == "manifest") or (quick and action != "verify"):
        raise click.UsageError(f"say ssl-platform {USAGE[action]}")


def _row(dataset: DatasetDeclaration) -> dict[str, Any]:
    return asdict(dataset) | {"adapter": "yes" if dataset.factory else "later"}


def _facts(dataset: DatasetDeclaration) -> dict[str, Any]:
    """All about one; what its plugin adds comes after what every dataset has."""
    own = asdict(dataset)
    facts: dict[str, Any] = own.pop("facts")
    return {name: value for name, value in own.items() if value not in ("", (), {})} | facts


def _verified(found: Download, as_json: bool) -> None:
    """Print what was found.

    Raises:
        DataError: something is wrong with it; all lines were printed.
    """
    from ssl_platform.errors import DataError

    if as_json:
        show_json(asdict(found))
    else:
        known = {"name": found.name, "folder": found.folder, "items": found.items, "splits": found.splits}
        show_facts({**known, "read": found.read}, False)
        for line in found.problems[:SHOWN]:
            click.echo(line)
        if len(found.problems) > SHOWN:
            click.echo(f"and {len(found.problems) - SHOWN:,} more (--json prints all)")
    if found.problems:
        more = "s" if len(found.problems) > 1 else ""
        raise DataError(f"{found.name} in {found.folder} is not complete: {len(found.problems)} problem{more}")


def _written(dataset: DatasetDeclaration, found: Download, out: str, as_json: bool) -> None:
    """Print where the manifest is and how it is used."""
    task = dataset.tasks[0] if dataset.tasks else ""
    told = [f"--task {task}"] if task in ("mil", "label-propagation") else []
    command = "finetune" if task == "segmentation" else "probe"
    use = " ".join((f"ssl-platform {command} --encoder RUN --manifest {out}", *told, *dataset.settings))
    show_facts({"name": found.name, "manifest": out, "items": found.items, "splits": found.splits, "use": use}, as_json)
