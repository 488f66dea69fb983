"""`pretrain`: from a configuration to a trained encoder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_platform.config.schema import RunConfig
from ssl_platform.errors import RunStopped
from ssl_platform.train.devices import rank_of_environment
from ssl_platform.train.run import RunFolder, closing, default_path, read_result
from ssl_platform.train.signals import Signals, requeue_slurm_job

if TYPE_CHECKING:
    from ssl_platform.train.session import Session

Echo = Callable[[str], None]
AtEnd = Callable[["Session"], None]
RUN_VARIABLE = "SSL_PLATFORM_RUN"


def pretrain(
    config: RunConfig,
    *,
    resume: bool = False,
    dry_run: bool = False,
    echo: Echo | None = None,
    at_end: AtEnd | None = None,
) -> dict[str, Any]:
    """Pretrain an encoder.

    Args:
        config: composed; `auto` values are resolved in place.
        resume: continue the run in `config.run`.
        dry_run: say what would be done, do one real step, write nothing.
        echo: where lines for the user go; printed when None.
        at_end: called on the first rank once everything is saved, with `result.json` as it will stay: writes the page.

    Returns:
        What `result.json` holds.

    Raises:
        UsageError: found before the first step.
        RunFailed: after it.
        RunStopped: by a signal or by `health.stop`, after saving.
    """
    say = echo or print
    if dry_run:
        with tempfile.TemporaryDirectory(prefix="ssl-platform-dry-") as folder:
            return _run(config, Path(folder) / "run", resume=False, dry=True, echo=say)
    path = _path(config)
    if resume and (finished := _finished(path)) is not None:
        say(f"run {path}")
        say(f"finished before, at step {finished['steps']}: nothing to resume")
        return finished
    return _run(config, path, resume=resume, dry=False, echo=say, at_end=at_end)


def _path(config: RunConfig) -> Path:
    """The run folder; processes that this one starts find the same."""
    chosen = config.run or os.environ.get(RUN_VARIABLE)
    path = Path(chosen) if chosen else default_path(str(config.domain), str(config.objective["name"]))
    os.environ[RUN_VARIABLE] = str(path)
    return path


def _finished(path: Path) -> dict[str, Any] | None:
    result = read_result(path)
    return result if result is not None and result.get("status") == "done" else None


def _run(
    config: RunConfig, path: Path, *, resume: bool, dry: bool, echo: Echo, at_end: AtEnd | None = None
) -> dict[str, Any]:
    """The run with its signals and its folder around it."""
    signals = Signals(config.trainer.requeue)
    signals.install()
    main = rank_of_environment() == 0
    try:
        folder = RunFolder(path, "pretrain", resume=resume or not main, echo=echo, writer=main)
        if not dry:
            folder.say(f"run {path}")
        with closing(folder):
            _train(config, folder, signals, resume=resume, dry=dry, at_end=at_end)
        return folder.result
    finally:
        signals.training = False
        signals.restore()
        os.environ.pop(RUN_VARIABLE, None)


def _train(
    config: RunConfig, folder: RunFolder, signals: Signals, *, resume: bool, dry: bool, at_end: AtEnd | None = None
) -> None:
    """Prepare and train; an early stop is an exception after saving."""
    from ssl_platform.train.session import Session

    session = Session(config, folder, signals, resume=resume, dry=dry)
    stopped_by = session.train()
    if stopped_by == "signal":
        if config.trainer.requeue and signals.exit_code == 0:
            folder.say(requeue_slurm_job())
        message = f"stopped by a signal; saved, continue with --resume --run {folder.path}"
        raise RunStopped(message, signals.exit_code)
    if at_end is not None and folder.writer:
        folder.replace(status="stopped" if stopped_by else "done")
        at_end(session)
    if stopped_by == "health":
        raise RunStopped(f"stopped by health.stop: {session.verdict}", 1)
