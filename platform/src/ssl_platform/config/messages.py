"""Validation errors as lines a person can act on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ssl_platform.config.overrides import suggest
from ssl_platform.errors import ConfigError

_WORDS = {
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "list_type": "a list such as [32, 32]",
    "tuple_type": "a list such as [32, 32]",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "none_required": "null",
}
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}


def config_error(
    error: ValidationError,
    known: Collection[str],
    source: Callable[[str], str | None] | None = None,
    prefix: str = "",
) -> ConfigError:
    """One line for the first wrong key, and the number of further ones.

    Args:
        error: what pydantic raised.
        known: every dotted key there is, for close matches.
        source: where a dotted key's value came from.
        prefix: section the validated model stands for, with its dot, e.g. `objective.`.
    """
    faults: dict[str, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        faults.setdefault(_key(detail["loc"], known, prefix), []).append(detail)
    key, details = next(iter(faults.items()))
    where = _where(key, source)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return ConfigError(f"{_message(key, details, known)}{where}{more}")


def _where(key: str, source: Callable[[str], str | None] | None) -> str:
    while source is not None and key:
        found = source(key)
        if found is not None:
            return f" [{found}]"
        key = key.rpartition(".")[0]
    return ""


def _key(location: tuple[int | str, ...], known: Collection[str], prefix: str) -> str:
    """The dotted key an error is about: pydantic adds names of union members and positions of list items."""
    parts = [str(part) for part in location]
    for end in range(len(parts), 0, -1):
        candidate = prefix + ".".join(parts[:end])
        if candidate in known:
            return candidate
    return prefix + ".".join(parts)


def _message(key: str, details: list[ErrorDetails], known: Collection[str]) -> str:
    first = details[0]
    if first["type"] in ("extra_forbidden", "no_such_attribute"):
        return f"{key}: unknown key{suggest(key, known)}"
    told = next((d["ctx"]["error"] for d in details if d["type"] == "value_error"), None)
    if told is not None:  # a check of ours said it in full
        return f"{key}={_shown(first['input'])}: {told}"
    wanted: list[str] = []
    for detail in details:
        word = _wanted(detail)
        if word not in wanted:
            wanted.append(word)
    given = first["input"]
    hint = ""
    if isinstance(given, str) and "," in given and any("list" in word for word in wanted):
        hint = f": write [{given}]"
    place = "".join(f"[{part}]" for part in first["loc"] if isinstance(part, int))
    return f"{key}{place}={_shown(given)}: must be {' or '.join(wanted)}{hint}"


def _wanted(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _BOUNDS:
        name, word = _BOUNDS[kind]
        return f"{word} {context[name]:g}"
    if kind == "literal_error":
        return str(context["expected"])
    if kind in ("too_short", "too_long"):
        return f"a list of another length ({detail['msg']})"
    return _WORDS.get(kind, detail["msg"])


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(str(key) for key in value) + "}"
    return str(value)
