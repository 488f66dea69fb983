"""The record of one setting. Importing this module imports nothing but the standard library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One setting of an objective or a backbone, as `objective.KEY` or `backbone.KEY`.

    Attributes:
        name: the key.
        type: a type in the closed grammar of `ssl_platform.config.grammar`, e.g. `"float"`, `"tuple[int, ...]"`.
        default: the value when nothing is said; plain data.
        description: one line.
        bounds: any of `ge`, `gt`, `le`, `lt` with its number.
    """

    name: str
    type: str
    default: Any = None
    description: str = ""
    bounds: Mapping[str, float] = field(default_factory=dict)
