"""The program `ssl-platform`: finds a command, runs it, turns errors into one line and an exit code.

Exit codes: 0 done, 2 found before the first step, 1 failed after it, 130 or 143 stopped by a signal.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click

from ssl_platform import __version__
from ssl_platform.cli.command import global_options
from ssl_platform.errors import SslPlatformError, did_you_mean

SECTIONS: dict[str, dict[str, str]] = {
    "Data": {
        "scan": "Say what would be used, set aside, quarantined: the check to run first.",
        "prepare": "Pack data into shards that --data reads, in the form they are read from.",
        "cache": "List, verify or prune prepared items.",
        "datasets": "Public datasets the platform knows as they are downloaded.",
    },
    "Train": {
        "pretrain": "Pretrain an encoder on unlabelled data.",
        "finetune": "Train a model for a task from an encoder.",
    },
    "Evaluate": {
        "probe": "Evaluate an encoder without changing it.",
        "compare": "Put finished evaluations side by side, or run the missing ones.",
        "analyze": "Say what a representation knows.",
    },
    "Use": {
        "embed": "Write embeddings as Parquet.",
        "predict": "Apply a model to data, in the source's own geometry.",
        "export": "Write an encoder or a model for use elsewhere.",
        "report": "Write a run's page.",
    },
    "Extend": {
        "domains": "Kinds of data installed.",
        "objectives": "Objectives installed, and where they fit.",
        "recipes": "Complete, runnable experiments that are shipped.",
        "plugins": "What is installed, from where, and what is wrong with it.",
        "new-plugin": "Write a plugin of your own that works at once.",
        "doctor": "Do each thing a run needs once, and say what fails.",
    },
}
COMMANDS = [name for section in SECTIONS.values() for name in section]
"""Each is `command` in `ssl_platform.cli.<name>` (`_` for `-`), imported when it is run."""


class Program(click.Group):
    """A group that imports a command only when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the help page."""
        return COMMANDS

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported, or None."""
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = importlib.import_module(f"ssl_platform.cli.{cmd_name.replace('-', '_')}").command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command asked for; an unknown one is named with a close match."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"no command {args[0]!r}{did_you_mean(args[0], COMMANDS)}: see ssl-platform --help")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help page's list, by section, without importing any command."""
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl(list(commands.items()), col_max=14)


@click.group(cls=Program, invoke_without_command=True, params=global_options())
@click.version_option(__version__, message="ssl-platform %(version)s")
@click.pass_context
def app(context: click.Context) -> None:
    """Self-supervised pretraining and transfer for any modality.

    What is not an option is a dotted key: optim.lr=1e-3. All of them are in docs/command_line.md.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    Args:
        arguments: the words after the program's name; those of the process when None.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with app.make_context("ssl-platform", words) as context:
            app.invoke(context)
        sys.stdout.flush()
        return 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except BrokenPipeError:  # the reader (head, less) has seen enough
        _silence_stdout()
        return 0
    except (KeyboardInterrupt, click.Abort) as error:
        return _fail(error, "interrupted", 130, words)
    except click.ClickException as error:
        return _fail(error, error.format_message(), 2, words)
    except SslPlatformError as error:
        return _fail(error, str(error), error.exit_code, words)
    except MemoryError as error:
        return _fail(error, "out of memory", 1, words)
    except OSError as error:
        return _fail(error, " ".join(str(error).split()), 1, words)
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return _fail(error, f"{text} (a fault of the program or a plugin; --debug shows where)", 1, words)


def _fail(error: BaseException, message: str, code: int, words: Sequence[str]) -> int:
    if "--debug" in words:
        traceback.print_exception(error)
    click.echo(f"error: {' '.join(message.split())}", err=True)
    return code


def _silence_stdout() -> None:
    """Keep the interpreter from failing again when it flushes a closed pipe at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
