"""Where labels come from: `--labels SOURCE`.

SOURCE is a table, a folder of masks, one label raster, `folders`, `name:REGEX` or `field:NAME`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data.claims import Claims, claims_of_table
from ssl_platform.data.masks import claims_of_mask_folder
from ssl_platform.data.names import counted, listing, nearest, portable
from ssl_platform.data.table import SPREADSHEETS, TABLE_SUFFIXES, read_table
from ssl_platform.errors import LabelError
from ssl_platform.types import Row

NAMED_GROUPS = ("label", "group", "split", "fold")
FORMS = "a table, a folder of masks, a label raster, folders, name:REGEX or field:NAME"
FORMS_WITHOUT_FILE = ("folders", "name:REGEX", "field:NAME")


@dataclass(frozen=True)
class Source:
    """A parsed SOURCE.

    Attributes:
        kind: what it is.
        value: path, regular expression or field name; empty for `folders`.
    """

    kind: Literal["table", "masks", "raster", "folders", "name", "field"]
    value: str = ""


def parse_source(text: str) -> Source:
    """Tell what a SOURCE is.

    Raises:
        LabelError: it is none of the forms, or the file does not exist.
        DataError: it is a spreadsheet.
    """
    head, colon, value = text.partition(":")
    if colon and head in ("name", "field") and not Path(text).exists():
        if not value:
            raise LabelError(f"--labels {text} lacks what follows the colon: name:REGEX or field:NAME")
        if head == "name":
            compile_names(value, "--labels name:REGEX")
        return Source("name" if head == "name" else "field", value)
    path = Path(text)
    if text == "folders" and not path.is_dir():
        return Source("folders")
    if path.is_dir():
        return Source("masks", text)
    if path.suffix.lower() in SPREADSHEETS:
        read_table(path)
    if not path.exists():
        raise LabelError(f"--labels {text}: no such file or folder{_close_file(path)}; SOURCE is {FORMS}")
    return Source("table" if path.suffix.lower() in TABLE_SUFFIXES else "raster", text)


def _close_file(path: Path) -> str:
    """A file beside the missing one with nearly its name, or `folders`."""
    names = [*FORMS_WITHOUT_FILE]
    if path.parent.is_dir():
        names += sorted(entry.name for entry in path.parent.iterdir())[:10_000]
    return nearest(path.name, names)


def compile_names(pattern: str, where: str) -> re.Pattern[str]:
    """Compile a regular expression over names and check its named groups.

    Raises:
        LabelError: it does not compile, or names groups other than label, group, split, fold, or none.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise LabelError(f"{where}: {pattern!r} is not a regular expression ({error})") from error
    unknown = [name for name in compiled.groupindex if name not in NAMED_GROUPS]
    if unknown:
        raise LabelError(
            f"{where}: unknown group (?P<{unknown[0]}>..){nearest(unknown[0], NAMED_GROUPS)}: "
            f"the named groups are {listing(NAMED_GROUPS)}"
        )
    if not compiled.groupindex:
        raise LabelError(f"{where}: {pattern!r} needs a named group, such as (?P<label>..)")
    return compiled


def search_name(pattern: re.Pattern[str], row: Row) -> re.Match[str] | None:
    """Find the expression in the file name, else in the path relative to the data."""
    item = portable(row.id)
    return pattern.search(item.rpartition("/")[2]) or pattern.search(item)


def claims_of_source(source: Source, rows: Sequence[Row], config: LabelsConfig, suffixes: Sequence[str] = ()) -> Claims:
    """What a source says; tables and mask folders still have to be matched with the rows.

    Raises:
        LabelError: it says nothing about any row.
        DataError: a table or a folder cannot be used.
    """
    if source.kind == "table":
        return claims_of_table(read_table(source.value), config)
    if source.kind == "masks":
        return claims_of_mask_folder(Path(source.value), rows, suffixes, config.allow_unmatched)
    if source.kind == "raster":
        return _raster(source.value, rows)
    if source.kind == "folders":
        return _folders(rows)
    if source.kind == "name":
        return _names(source.value, rows)
    return _field(source.value, rows)


def _told(origin: str, rows: Sequence[Row], **columns: list[str]) -> Claims:
    """Claims about every row, in catalog order."""
    labels = {"label": columns.pop("label")} if "label" in columns else {}
    everything = np.arange(len(rows), dtype=np.int64)
    return Claims(origin, lambda i: rows[i].id, [], labels=labels, columns=columns, row=everything)


def _raster(path: str, rows: Sequence[Row]) -> Claims:
    """One label raster for all: the domain reads each item's part of it through the coordinate system."""
    claims = _told(path, rows, mask=[str(Path(path).absolute())] * len(rows))
    claims.notes.append(f"labels: raster {path}, joined to {counted(len(rows), 'item')} by coordinates, not by name")
    return claims


def _folders(rows: Sequence[Row]) -> Claims:
    """Class = name of the parent folder."""
    return _told("folders", rows, label=[posixpath.basename(posixpath.dirname(portable(row.path))) for row in rows])


def _names(pattern: str, rows: Sequence[Row]) -> Claims:
    """Facts from file names."""
    compiled = compile_names(pattern, "--labels name:REGEX")
    found = [search_name(compiled, row) for row in rows]
    hits = sum(match is not None for match in found)
    if rows and not hits:
        raise LabelError(f"--labels name:{pattern} fits no item: {rows[0].id!r} is the first")
    columns = {name: [(match[name] or "") if match else "" for match in found] for name in compiled.groupindex}
    claims = _told(f"name:{pattern}", rows, **columns)
    if hits < len(rows):
        first = next(row.id for row, match in zip(rows, found, strict=True) if match is None)
        claims.notes.append(f"labels: name:{pattern} fits {hits:,} of {len(rows):,} items, not {first!r}")
    return claims


def _field(name: str, rows: Sequence[Row]) -> Claims:
    """A fact stored in the files: of the item, or dense where the domain lists it among the row's parts."""
    if any(name in row.parts for row in rows):
        return _told(f"field:{name}", rows, mask=[row.parts.get(name, "") for row in rows])
    if name == "label" and any(row.label is not None for row in rows):
        values = [row.label for row in rows]
    elif any(row.meta.get(name) is not None for row in rows):
        values = [row.meta.get(name) for row in rows]
    else:
        known = sorted({key for row in rows for key in (*row.meta, *row.parts)})
        raise LabelError(
            f"--labels field:{name}: no item stores it{nearest(name, known)}; stored are: {listing(known) or 'none'}"
        )
    texts = ["" if value is None else str(int(value)) if isinstance(value, bool) else str(value) for value in values]
    return _told(f"field:{name}", rows, label=texts)
