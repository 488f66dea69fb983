"""Names of files and classes: portable paths, stems, natural order, near misses."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence

from ssl_platform.errors import did_you_mean

DOUBLE_SUFFIXES = (".nii.gz", ".ome.tiff", ".ome.tif", ".ome.zarr", ".tar.gz", ".csv.gz", ".copc.laz")
_DIGITS = re.compile(r"(\d+)")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def portable(path: str) -> str:
    """A path with forward slashes and no leading `./`, as tables are compared with files."""
    path = path.replace("\\", "/")
    while path.startswith("./"):
        path = path[2:]
    return path


def stem(name: str, suffixes: Sequence[str] = ()) -> str:
    """The last component of a path less its file ending (`.nii.gz` is one ending).

    Args:
        name: a file name or a path with forward slashes.
        suffixes: further endings that count as one, such as a domain's.
    """
    base = posixpath.basename(name.rstrip("/"))
    lower = base.lower()
    for suffix in (*DOUBLE_SUFFIXES, *suffixes):
        if lower.endswith(suffix) and len(base) > len(suffix):
            return base[: -len(suffix)]
    root, ending = posixpath.splitext(base)
    # `case_1.5` is a name, not a file of type `.5`.
    return base if ending[1:].isdigit() else root


def natural_key(text: str) -> tuple[int, float, tuple[tuple[int, int, str], ...], str]:
    """Sort key for the order people expect: numbers by value, `grade 2` before `grade 10`, case ignored."""
    if _NUMBER.fullmatch(text):
        return (0, float(text), (), text)
    pieces = tuple(
        (0, int(piece), "") if piece.isdigit() else (1, 0, piece.casefold()) for piece in _DIGITS.split(text) if piece
    )
    return (1, 0.0, pieces, text)


def address(path: str, item: str) -> str:
    """How a table names an item: its path, with `#` and its name there where the file holds several.

    Args:
        path: of the file.
        item: id of the item (`train.h5#000017`).
    """
    _, mark, name = item.rpartition("#")
    return f"{path}#{name}" if mark and not path.endswith(f"#{name}") else path


def nearest(name: str, options: Iterable[str]) -> str:
    """Like `did_you_mean`, and sees through case: ` (did you mean 'Path'?)` for `path`."""
    options = list(options)
    folded = {option.casefold(): option for option in options}
    if name.casefold() in folded:
        return f" (did you mean {folded[name.casefold()]!r}?)"
    return did_you_mean(name, options)


def listing(names: Sequence[str], limit: int = 8) -> str:
    """The first names of a list in one line, and how many there are besides."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """`1 item`, `2 items`, `1,200 classes`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
