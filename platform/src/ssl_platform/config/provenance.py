"""A configuration as YAML, with or without where each value came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from ssl_platform.config.loader import Dumper
from ssl_platform.config.schema import RunConfig

_COLUMN = 44


def dump(config: RunConfig, *, sources: bool = False) -> str:
    """The configuration as YAML that `--config` reads back to the same values.

    Args:
        config: resolved.
        sources: add a comment to every value that says where it came from.
    """
    values = config.model_dump(mode="json", by_alias=True)
    return "".join(f"{line}\n" for line in _lines(values, "", "", config if sources else None))


def _lines(values: dict[str, Any], prefix: str, indent: str, config: RunConfig | None) -> Iterator[str]:
    for key, value in values.items():
        dotted = f"{prefix}{key}"
        word = _flow(key)  # quoted where another YAML reader would take it for a truth value: 'off'
        if isinstance(value, dict) and value:
            yield f"{indent}{word}:"
            yield from _lines(value, f"{dotted}.", f"{indent}  ", config)
            continue
        line = f"{indent}{word}: {_flow(value)}"
        yield f"{line:<{_COLUMN}} # {config.source(dotted)}" if config is not None else line


def _flow(value: Any) -> str:
    text: str = yaml.dump(value, Dumper=Dumper, default_flow_style=True, width=2**31, allow_unicode=True)
    return text.removesuffix("\n...\n").strip().replace("\n", " ")
