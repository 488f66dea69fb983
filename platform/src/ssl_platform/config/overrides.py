"""Overrides of the command line: `optim.lr=1e-3`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ssl_platform.config.loader import scalar
from ssl_platform.errors import ConfigError, did_you_mean

_FEW = 2  # more suggestions than this help nobody

KEY = re.compile(r"^[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*$")


def is_override(text: str) -> bool:
    """Whether an argument reads as KEY=VALUE and is not the name of an existing file."""
    key, equals, _ = text.partition("=")
    return bool(equals and KEY.match(key)) and not Path(text).exists()


def parse_overrides(arguments: Iterable[str]) -> dict[str, Any]:
    """Dotted keys and values of KEY=VALUE arguments; a later one wins.

    Raises:
        ConfigError: an argument is not KEY=VALUE; one that names an existing file most likely came from a glob the
            shell expanded.
    """
    values: dict[str, Any] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            if Path(argument).exists():
                raise ConfigError(
                    f"{argument!r} is a file or folder, not KEY=VALUE: quote the glob (--data 'scans/*.nii.gz') "
                    "or pass the folder"
                )
            raise ConfigError(f"{argument!r} is not KEY=VALUE: write for example optim.lr=1e-3")
        if not KEY.match(key):
            raise ConfigError(f"{argument!r}: {key!r} is not a dotted key such as optim.lr")
        values[key] = scalar(value)
    return values


def nest(flat: dict[str, Any]) -> dict[str, Any]:
    """Dotted keys as nested mappings; a mapping given as a value is merged in.

    Raises:
        ConfigError: one key is both a value and a section.
    """
    nested: dict[str, Any] = {}
    for dotted, value in flat.items():
        *sections, last = dotted.split(".")
        target = nested
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise ConfigError(f"{dotted}: {section!r} was given a value, so it cannot have keys of its own")
        if isinstance(value, dict) and isinstance(target.get(last), dict):
            target[last] = {**target[last], **value}
        else:
            target[last] = value
    return nested


def flatten(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys; empty mappings stay values."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            flat.update(flatten(value, f"{dotted}."))
        else:
            flat[dotted] = value
    return flat


def suggest(dotted: str, known: Iterable[str]) -> str:
    """Close matches for an unknown key: of its section with the same word in it (`trainer.steps`: `trainer.max_steps`),
    else the few that end in the same word, else one that is written alike."""
    options = sorted(known)
    section, _, last = dotted.rpartition(".")
    same_word = [
        option for option in options if option.startswith(f"{section}.") and last in option.split(".")[-1].split("_")
    ]
    same_end = [option for option in options if option.rsplit(".", 1)[-1] == last]
    for close in (same_word, same_end):
        if 1 <= len(close) <= _FEW:
            return f" (did you mean {' or '.join(map(repr, close))}?)"
    return did_you_mean(dotted, options) or did_you_mean(last, options)
