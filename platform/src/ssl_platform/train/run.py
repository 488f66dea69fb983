"""A run's folder: what is in it, from the first second to the last.

config.yaml command.txt environment.json     what was asked and with what
catalog.parquet splits.csv quarantine.csv    what was read
metrics.csv events.log result.json           what happened
checkpoints/ encoder.safetensors encoder.json
CITATION.bib methods.txt                     what to write about it
"""

from __future__ import annotations

import contextlib
import datetime
import json
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from ssl_platform.errors import RunFailed, RunStopped, SslPlatformError, UsageError
from ssl_platform.train.atomic import write_json, write_text
from ssl_platform.train.lock import NAME as LOCK_NAME
from ssl_platform.train.lock import WriterLock

Status = Literal["running", "done", "stopped", "failed"]
REFUSAL = ("quarantine.csv", "events.log")
"""What a run refused because of its data leaves in its folder: which items, and why. A new run may take the folder."""
Echo = Callable[[str], None]


def default_path(domain: str, objective: str, now: datetime.datetime | None = None, root: Path | None = None) -> Path:
    """`runs/<domain>-<objective>-<time>`, with a number behind it when two runs start in one second."""
    now = now or datetime.datetime.now()
    base = (root or Path("runs")) / f"{domain}-{objective}-{now:%Y%m%d-%H%M%S}"
    path, number = base, 2
    while path.exists():
        path, number = base.with_name(f"{base.name}-{number}"), number + 1
    return path


def empty_result(command: str) -> dict[str, Any]:
    """`result.json` of a run that has just begun: all keys are there from the first second."""
    return {
        "command": command,
        "status": "running",
        "steps": 0,
        "samples_per_second": None,
        "loss": {"first": None, "last": None},
        "health": {"verdict": "undetermined", "cause": "before the first step"},
        "quarantined": 0,
        "data_id": None,
        "split_id": None,
        "metrics": {},
        "baselines": {},
        "paths": {},
    }


class RunFolder:
    """A run folder this process writes.

    Args:
        path: the folder; made when absent.
        command: name of the command, for result.json.
        resume: whether a non-empty folder may be continued.
        echo: where lines for the user go besides `events.log`.
        writer: False on ranks other than the first: nothing is written, nothing said.

    Raises:
        UsageError: the folder is not empty and `resume` is false, or another process writes it.
    """

    def __init__(
        self,
        path: Path,
        command: str = "pretrain",
        *,
        resume: bool = False,
        echo: Echo = print,
        writer: bool = True,
    ) -> None:
        self.path, self.echo, self.writer = path, echo, writer
        self.echo_is_print = echo is print
        self.lock: WriterLock | None = None
        self.steps_before = 0
        if not writer:
            self.result = empty_result(command)
            return
        if path.exists() and not path.is_dir():
            raise UsageError(f"--run {path}: is a file; give a folder")
        self.made = not path.exists()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--run {path}: cannot make the folder ({error.strerror})") from error
        self.fresh = not _used(path)
        if not resume and not self.fresh:
            raise UsageError(f"--run {path}: the folder is not empty; add --resume to continue it or choose another")
        self.lock = WriterLock(path)
        if self.fresh:
            for name in REFUSAL:
                self.file(name).unlink(missing_ok=True)
        self.result = self._load_result(command)

    @property
    def trained(self) -> bool:
        """Whether this process saved steps: the folder then holds more than was asked."""
        return int(self.result.get("steps") or 0) > self.steps_before

    # ------------------------------------------------------------------------------------------------------- files
    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    def file(self, name: str) -> Path:
        """A file of the run by name."""
        return self.path / name

    def write_start(self, config: str, environment: Mapping[str, Any], argv: Iterable[str] | None = None) -> None:
        """Write what was asked and with what.

        Args:
            config: resolved, as YAML.
            environment: versions and device.
            argv: command line, added to those of earlier starts; this process' when None.
        """
        if not self.writer:
            return
        write_text(self.file("config.yaml"), config)
        write_json(self.file("environment.json"), environment)
        words = list(sys.argv if argv is None else argv)
        with self.file("command.txt").open("a", encoding="utf-8") as handle:
            handle.write(shlex.join(words) + "\n")

    def environment(self) -> dict[str, Any]:
        """What the run was last started with; empty where nothing was."""
        try:
            found = json.loads(self.file("environment.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    # ------------------------------------------------------------------------------------------------ what happens
    def say(self, line: str) -> None:
        """Tell the user one line and keep it in `events.log`."""
        self.log(line)
        if self.writer:
            self.echo(line)

    def log(self, line: str) -> None:
        """Keep one line in `events.log` without showing it."""
        if not self.writer:
            return
        stamp = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with self.file("events.log").open("a", encoding="utf-8") as handle:
            handle.write(f"{stamp} {line}\n")

    def update(self, **changes: Any) -> None:
        """Change keys of `result.json` and write it; nested mappings are merged."""
        for key, value in changes.items():
            old = self.result.get(key)
            if isinstance(old, dict) and isinstance(value, Mapping):
                old.update(value)
            else:
                self.result[key] = value
        self._write_result()

    def replace(self, **changes: Any) -> None:
        """Like `update`, but mappings are replaced as a whole."""
        self.result.update(changes)
        self._write_result()

    def close(self, status: Status) -> None:
        """Write the final status and give the folder back."""
        self.replace(status=status)
        if self.lock is not None:
            self.lock.release()

    def withdraw(self, why: str) -> None:
        """Leave the folder as it was found, but for the list of unusable items; nothing was trained.

        Args:
            why: the run is refused; kept in `events.log` beside the list.
        """
        if not self.writer:
            return
        self.log(f"refused: {why}")
        self.close(self.status_before)
        if not self.fresh:
            return
        kept = REFUSAL if _lists_items(self.file("quarantine.csv")) else ()
        for entry in self.path.iterdir():
            if entry.name not in kept:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if self.made and not kept:
            self.path.rmdir()

    def _write_result(self) -> None:
        if self.writer:
            if self.lock is not None:
                self.lock.renew()
            write_json(self.file("result.json"), self.result)

    def _load_result(self, command: str) -> dict[str, Any]:
        result = empty_result(command)
        result.update(read_result(self.path) or {})
        self.status_before: Status = result["status"]
        self.steps_before = int(result.get("steps") or 0)
        result.update(command=command, status="running")
        write_json(self.file("result.json"), result)
        return result


@contextlib.contextmanager
def closing(folder: RunFolder) -> Iterator[None]:
    """Leave a folder with the status that says how the run ended."""
    try:
        yield
    except RunStopped as stop:
        folder.log(str(stop))
        folder.close("stopped")
        raise
    except KeyboardInterrupt:
        folder.close("stopped")
        raise
    except UsageError as error:
        if folder.trained:  # by what was read or built on the way: what is saved stays
            _failed(folder, error)
            raise RunFailed(str(error)) from error
        folder.withdraw(str(error))  # found before the first step: the same command can be given again, put right
        raise
    except MemoryError as error:
        folder.close("failed")
        raise RunFailed("out of memory: lower data.batch_size or data.workers") from error
    except BaseException as error:
        _failed(folder, error)
        raise
    folder.close("done")


def _failed(folder: RunFolder, error: BaseException) -> None:
    folder.log(f"failed: {type(error).__name__}: {error}")
    if isinstance(error, SslPlatformError):
        folder.update(error=str(error))
    folder.close("failed")


def read_result(path: Path) -> dict[str, Any] | None:
    """`result.json` of a run folder, or None where there is none that can be read."""
    try:
        found = json.loads((path / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def read_config(path: Path) -> dict[str, Any] | None:
    """`config.yaml` of a run folder as plain data, or None where there is none."""
    import yaml

    try:
        found = yaml.safe_load((path / "config.yaml").read_text(encoding="utf-8"))
    except OSError:
        return None
    return found if isinstance(found, dict) else None


def _used(path: Path) -> bool:
    return any(entry.name not in (LOCK_NAME, *REFUSAL) for entry in path.iterdir())


def _lists_items(path: Path) -> bool:
    """Whether a list of unusable items names any."""
    return path.exists() and len(path.read_text(encoding="utf-8").splitlines()) > 1
