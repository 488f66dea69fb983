"""Writes the table of configuration keys in docs/command_line.md from the schema.

python docs/key_table.py            write it
python docs/key_table.py --check    exit 1 when it is stale
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ssl_platform.config.schema import RunConfig

PAGE = Path(__file__).with_name("command_line.md")
BEGIN, END = "<!-- keys: written by docs/key_table.py -->\n", "<!-- end of keys -->"


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every dotted key and its field."""
    for name, field in model.model_fields.items():
        dotted = f"{prefix}{field.alias or name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys(field.annotation, f"{dotted}.")
        else:
            yield dotted, field


def table() -> str:
    """The table as Markdown."""
    rows = ["| key | default | values | meaning |", "|---|---|---|---|"]
    for dotted, field in keys(RunConfig):
        default = field.get_default(call_default_factory=True)
        cells = (f"`{dotted}`", f"`{written(default)}`", values(field), str(field.description))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def written(value: Any) -> str:
    """A default as it is written on the command line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple | list) else str(value)


def values(field: FieldInfo) -> str:
    """What a key takes, in words."""
    return words(field.annotation) + "".join(map(bounds, field.metadata))


def bounds(item: Any) -> str:
    """The limits of a number, in words."""
    signs = (("gt", "above"), ("ge", "at least"), ("lt", "below"), ("le", "at most"))
    return "".join(f", {sign} {getattr(item, bound):g}" for bound, sign in signs if hasattr(item, bound))


def words(annotation: Any) -> str:
    """A type in words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return words(arguments[0]) + "".join(map(bounds, arguments[1].metadata))
    if origin is typing.Literal:
        return " or ".join(f"`{argument}`" for argument in arguments)
    if origin in (list, tuple):
        return f"list of {words(arguments[0])}"
    if origin is dict:
        return f"keys with {words(arguments[1])}"
    if arguments:
        return " or ".join(words(argument) for argument in arguments)
    names = {int: "integer", float: "number", bool: "true or false", str: "text", type(None): "null", Any: "any value"}
    return names[annotation]


def main(arguments: list[str]) -> int:
    """Write the table, or say whether it is stale; returns the exit code."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    fresh = before + BEGIN + table() + END + rest.split(END)[1]
    if "--check" in arguments:
        return 0 if fresh == text else 1
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
