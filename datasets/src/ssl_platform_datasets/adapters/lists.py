"""The lists a download brings: lines, tables and JSON, each with one line about what is wrong with it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ssl_platform.errors import DataError


def text_of(path: Path, hint: str = "") -> str:
    """The text of a list.

    Args:
        path: of the file.
        hint: what to do where it is not there; the folder's own name is no part of the answer.

    Raises:
        DataError: it is missing, empty or no text.
    """
    try:
        found = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: missing{'; ' if hint else ''}{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); download it again") from None
    if not found.strip():
        raise DataError(f"{path}: empty; download it again")
    return found


def lines_of(path: Path, hint: str = "") -> list[str]:
    """The lines of a list that say something."""
    return [line.strip() for line in text_of(path, hint).splitlines() if line.strip()]


def json_of(path: Path, hint: str = "") -> Any:
    """The content of a JSON file.

    Raises:
        DataError: it is none.
    """
    try:
        return json.loads(text_of(path, hint))
    except ValueError as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}); download it again") from None


def table_of(path: Path, columns: Sequence[str], hint: str = "") -> Iterator[dict[str, str]]:
    """The rows of a CSV with a header.

    Args:
        path: of the file; it is read as it is asked for.
        columns: that it must have.
        hint: as of `text_of`.

    Raises:
        DataError: it is missing, or lacks a column.
    """
    if not path.is_file():
        raise DataError(f"{path}: missing{'; ' if hint else ''}{hint}")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        absent = [name for name in columns if name not in (reader.fieldnames or ())]
        if absent:
            raise DataError(
                f"{path}: has no column {absent[0]!r} (it has {', '.join(reader.fieldnames or ()) or 'none'})"
            )
        yield from reader
