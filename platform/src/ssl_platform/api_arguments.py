"""The Python API: how arguments of its functions become a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl_platform.config.schema import RunConfig

Paths = str | Path | Sequence[str | Path]

_WORDS = (
    "domain",
    "data",
    "manifest",
    "labels",
    "objective",
    "backbone",
    "init",
    "run",
    "seed",
    "encoder",
    "task",
    "protocol",
)


def split(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The command line's words, and sections."""
    words = {key: value for key, value in arguments.items() if key in _WORDS}
    return words, {key: value for key, value in arguments.items() if key not in _WORDS}


def configuration(command: str, given: Mapping[str, Any]) -> RunConfig:
    """The configuration of a command from the arguments of its function."""
    from ssl_platform.configure import configure

    words = {key: value for key, value in given.items() if key in _WORDS}
    return configure(command, settings=given["settings"], overrides=given["overrides"], **words)
