"""Printing rows: aligned columns for people, JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click


def show_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], as_json: bool, empty: str = "none") -> None:
    """Print rows.

    Args:
        rows: plain data; JSON prints all of it.
        columns: what people see; the last one is cut to the terminal's width.
        as_json: print JSON.
        empty: what is printed when there are no rows.
    """
    if as_json:
        show_json(rows)
        return
    if not rows:
        click.echo(empty)
        return
    cells = [[column.upper() for column in columns], *([words(row.get(column)) for column in columns] for row in rows)]
    limit = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for text in aligned(cells):
        click.echo(text if limit is None or len(text) <= limit else text[: limit - 1] + "…")


def show_facts(facts: Mapping[str, Any], as_json: bool) -> None:
    """Print one thing's facts, a line each."""
    if as_json:
        show_json(facts)
        return
    width = max(len(key) for key in facts)
    for key, value in facts.items():
        if isinstance(value, Sequence) and not isinstance(value, str) and value and isinstance(value[0], Mapping):
            click.echo(f"{key}:")
            cells = [[words(part) for part in item.values()] for item in value]
            for line in aligned(cells):
                click.echo(f"  {line}")
        else:
            click.echo(f"{key.ljust(width)}  {words(value)}".rstrip())


def aligned(cells: Sequence[Sequence[str]]) -> list[str]:
    """Lines whose columns start at the same place."""
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in cells]


def show_json(value: Any) -> None:
    """Print JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def words(value: Any) -> str:
    """A cell as text."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(str(item) for item in value) or "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={item}" for key, item in value.items()) or "-"
    return str(value)
