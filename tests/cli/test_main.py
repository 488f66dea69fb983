"""The program: commands by section, one-line errors, exit codes."""

from __future__ import annotations

from collections.abc import Callable

import click
import pytest

from ssl_platform import __version__
from ssl_platform.cli import main as program
from ssl_platform.cli.main import COMMANDS, main
from ssl_platform.errors import RunFailed, RunStopped, UsageError

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_help_lists_every_command(words: list[str], capsys: Capture) -> None:
    assert main(words) == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        assert f"  {command} " in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_its_summary(command: str, capsys: Capture) -> None:
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: ssl-platform {command}")
    assert program.app.get_command(click.Context(program.app), command).short_help  # type: ignore[union-attr]


def test_version(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ssl-platform {__version__}\n"


WRONG = {
    "pretrian": "error: no command 'pretrian' (did you mean 'pretrain'?): see ssl-platform --help",
    "--hlep": "error: No such option '--hlep'",
    "pretrain --objectve mae": "error: no option --objectve in ssl-platform pretrain (did you mean '--objective'?)",
    "pretrain --batchsize 3": "error: no option --batchsize in ssl-platform pretrain: write data.batch_size=VALUE or",
    "pretrain --max-steps 3": "error: no option --max-steps in ssl-platform pretrain: write trainer.max_steps=VALUE",
    "pretrain --lr 1": "error: no option --lr in ssl-platform pretrain: write optim.lr=VALUE or finetune.lr=VALUE",
    "pretrain --seed one": "error: Invalid value for '--seed': 'one' is not a valid integer.",
    "pretrain": "error: name the kind of data with --domain; installed: ",
    "pretrain --resume --run absent": "error: --resume --run absent: there is no such run; to start it name the data",
    "pretrain --resume --domain medical3d": "error: --resume needs --run DIR",
    "probe": "error: Missing option '--encoder'",
    "predict --model a": "error: Missing option '--out'",
    "export --out x": "error: export needs either --encoder or --model",
    "export --out x --encoder a --model b": "error: export needs either --encoder or --model",
    "export --out x --encoder a --format onnxx": "error: Invalid value for '--format'",
    "embed --encoder a --out b --level pixel": "error: Invalid value for '--level': 'pixel' is not one of",
    "scan": "error: scan needs DATA (files, folders or a quoted glob) or a --manifest",
    "scan optim.lr=1": "error: scan needs DATA",
    "compare seed=1": "error: compare needs at least one run",
    "report": "error: Missing argument 'RUN'",
    "domains show": "error: domains show needs a name: see ssl-platform domains",
    "domains list x": "error: domains list takes no name",
    "cache drop": "error: Invalid value for '[list|verify|prune]': 'drop' is not one of",
    "datasets verify": "error: say ssl-platform datasets verify [NAME] DIR",
    "datasets manifest a b": "error: say ssl-platform datasets manifest [NAME] DIR --out FILE.csv",
    "datasets verify esc-50": "error: esc-50 is a dataset: say also where it lies, ssl-platform datasets",
    "datasets list --quick": "error: say ssl-platform datasets list",
    "datasets show": "error: datasets show needs a name: see ssl-platform datasets",
    "plugins --disable-plugin nobody": "error: --disable-plugin nobody: no such plugin",
    "--disable-plugin core plugins": "error: the core cannot be disabled",
    "plugins show nobody": "error: no plugin 'nobody'",
    "recipes show nobody": "error: no file or shipped recipe 'nobody'",
    "objectives show mea": "error: unknown objective 'mea' (did you mean 'mae'?)",
    "objectives --domain medicl3d": "error: unknown domain 'medicl3d'",
}


@pytest.mark.parametrize("words", WRONG)
def test_usage_errors_are_one_line_and_exit_2(words: str, capsys: Capture, install: Callable[..., str]) -> None:
    assert main(words.split()) == 2
    captured = capsys.readouterr()
    errors = [line for line in captured.err.splitlines() if not line.startswith("warning:")]
    assert len(errors) == 1 and errors[0].startswith(WRONG[words])
    assert captured.out == ""


def raising(error: BaseException) -> click.Command:
    @click.command()
    @click.option("--debug", is_flag=True, expose_value=False)
    def command() -> None:
        raise error

    return command


OUTCOMES = [
    (UsageError("no such file: a"), 2, "error: no such file: a\n"),
    (RunFailed("disk full\nat step 3"), 1, "error: disk full at step 3\n"),
    (RunStopped("stopped by SIGTERM after saving", 143), 143, "error: stopped by SIGTERM after saving\n"),
    (RunStopped("collapsed", 1), 1, "error: collapsed\n"),
    (KeyboardInterrupt(), 130, "error: interrupted\n"),
    (PermissionError(13, "Permission denied", "/x"), 1, "error: [Errno 13] Permission denied: '/x'\n"),
    (MemoryError(), 1, "error: out of memory\n"),
    (KeyError("x"), 1, "error: KeyError: 'x' (a fault of the program or a plugin; --debug shows where)\n"),
]


@pytest.mark.parametrize(("error", "code", "line"), OUTCOMES, ids=lambda value: type(value).__name__)
def test_every_error_is_one_line_and_a_code(
    error: BaseException, code: int, line: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program.Program, "get_command", lambda *_: raising(error))
    assert main(["doctor"]) == code
    assert capsys.readouterr().err == line


def test_debug_adds_the_traceback(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program.Program, "get_command", lambda *_: raising(UsageError("wrong")))
    assert main(["doctor", "--debug"]) == 2
    text = capsys.readouterr().err
    assert text.startswith("Traceback") and text.endswith("error: wrong\n")


def test_a_closed_pipe_is_no_error() -> None:
    import subprocess
    import sys

    code = (
        "import sys, click\n"
        "from ssl_platform.cli import main as program\n"
        "@click.command()\n"
        "def many():\n"
        "    for i in range(100000): click.echo(str(i))\n"
        "program.Program.get_command = lambda *_: many\n"
        "sys.exit(program.main(['doctor']))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0
