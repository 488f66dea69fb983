"""Options several commands share. Their words are the only ones there are; everything else is KEY=VALUE."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Function = TypeVar("_Function", bound=Callable[..., Any])


def data_options(function: _Function) -> _Function:
    """`--data`, `--manifest`, `--labels`."""
    function = click.option("--labels", metavar="L", help="Table, folder of masks, folders, name:REGEX, field:NAME.")(
        function
    )
    function = click.option("--manifest", metavar="TABLE", help="One table with data and facts.")(function)
    return click.option(
        "--data",
        multiple=True,
        metavar="PATH",
        help="Files, folders or a quoted glob; repeatable. Default: sample data.",
    )(function)


def encoder_option(function: _Function) -> _Function:
    """`--encoder`."""
    return click.option(
        "--encoder", required=True, metavar="RUN_OR_FILE", help="Run, RUN@STEP, encoder file, or random."
    )(function)


def run_option(function: _Function) -> _Function:
    """`--run`."""
    return click.option("--run", metavar="DIR", help="Folder of the run. Default: runs/<name>.")(function)


def json_option(function: _Function) -> _Function:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")(function)


def overrides_argument(function: _Function) -> _Function:
    """`KEY=VALUE ...`."""
    return click.argument("overrides", nargs=-1, metavar="[KEY=VALUE ...]")(function)


def parsed(overrides: tuple[str, ...]) -> dict[str, Any]:
    """Dotted keys of the KEY=VALUE arguments."""
    from ssl_platform.config.overrides import parse_overrides

    return parse_overrides(overrides)
