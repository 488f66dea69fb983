"""The folder of an evaluation: what was asked, with what, on which data, and how it ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from ssl_platform.config.provenance import dump
from ssl_platform.config.schema import RunConfig
from ssl_platform.train.atomic import write_text
from ssl_platform.train.provenance import environment
from ssl_platform.train.run import RunFolder, closing, default_path
from ssl_platform.transfer.opening import Opened, device_of

AtEnd = Callable[[RunFolder, Opened], None]
"""What an evaluation calls at its end."""


@contextlib.contextmanager
def running(
    command: str, config: RunConfig, *, name: str | None = None, out: Path | None = None, resume: bool = False
) -> Iterator[RunFolder]:
    """The run folder of a command, from its first line to its status.

    `config.yaml` is written at the start and again at the end, when every `auto` has its value.

    Args:
        command: its name.
        config: resolved as far as it is.
        name: first word of the default folder's name; the domain's when None.
        out: the folder, where the command names it other than with `--run`.
        resume: whether a folder that is not empty may be continued.

    Raises:
        UsageError: the folder is not empty.
    """
    path = out or (Path(config.run) if config.run else default_path(name or str(config.domain), command))
    folder = RunFolder(path, command, resume=resume)
    if out is None:
        folder.say(f"run {path}")
    with closing(folder):
        device = device_of(config)
        kind = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
        folder.write_start(resolved(config), environment(kind, "32", 1))
        began = time.monotonic()
        yield folder
        folder.update(seconds=time.monotonic() - began)
        write_text(folder.file("config.yaml"), resolved(config))


def resolved(config: RunConfig) -> str:
    """The configuration as YAML, without the folder it runs in."""
    return dump(config.model_copy(update={"run": None}))
