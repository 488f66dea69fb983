"""The class of every command: the options all of them have, and the naming of plugins that do not work."""

from __future__ import annotations

import os
from typing import Any

import click

from ssl_platform.errors import did_you_mean

_KEYS = "everything else is KEY=VALUE, e.g. optim.lr=1e-3"


def global_options() -> list[click.Parameter]:
    """`--debug` and `--disable-plugin`, taken before and after the command's name."""
    return [
        click.Option(["--debug"], is_flag=True, expose_value=False, help="Show the traceback of an error."),
        click.Option(
            ["--disable-plugin"],
            multiple=True,
            metavar="NAME",
            is_eager=True,
            expose_value=False,
            callback=_disable,
            help="Leave out a plugin; repeatable.",
        ),
    ]


def _disable(context: click.Context, _: click.Parameter, names: tuple[str, ...]) -> None:
    if names and not context.resilient_parsing:
        from ssl_platform.plugins import disable

        disable(names)


def _keys_like(option: str) -> list[str]:
    """The few configuration keys whose last word an option spells, as in `--lr` and `--batchsize`."""
    from ssl_platform.config.compose import schema_keys
    from ssl_platform.config.schema import RunConfig

    def letters(word: str) -> str:
        return word.rpartition(".")[2].replace("-", "").replace("_", "")

    return [key for key in schema_keys(RunConfig) if letters(key) == letters(option)][:3]


class Command(click.Command):
    """A command of the program.

    Args:
        announce: whether plugins that do not work are named on standard error before it runs.
    """

    def __init__(self, *args: Any, announce: bool = True, **options: Any) -> None:
        super().__init__(*args, **options)
        self.params.extend(global_options())
        self.announce = announce

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click, with a close match for an unknown option."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            known = [word for parameter in self.params for word in parameter.opts if word.startswith("--")]
            keys = _keys_like(error.option_name)
            hint = f"{did_you_mean(error.option_name, known)}; {_KEYS}"
            if keys:
                hint = f": write {' or '.join(f'{key}=VALUE' for key in keys)}"
            raise click.UsageError(f"no option {error.option_name} in ssl-platform {self.name}{hint}", ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Name the plugins that do not work, then run."""
        if self.announce and os.environ.get("RANK", "0") == "0":
            from ssl_platform.plugins import registry

            for problem in registry().problems():
                click.echo(f"warning: {problem} (see ssl-platform plugins)", err=True)
        return super().invoke(ctx)
