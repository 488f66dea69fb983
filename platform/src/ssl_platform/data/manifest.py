"""Manifests: data and facts in one table, read and written."""

from __future__ import annotations

import csv
import posixpath
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data.box import box_text
from ssl_platform.data.channels import CHANNEL_PART, Item
from ssl_platform.data.claims import CHANNEL_PREFIX, Claims, claims_of_table
from ssl_platform.data.facts import Facts
from ssl_platform.data.mask_paths import find_file, resolve_masks
from ssl_platform.data.names import address, counted
from ssl_platform.data.table import read_table
from ssl_platform.errors import DataError, LabelError
from ssl_platform.types import Row

_NAMES = {1: "train", 2: "val", 3: "test"}


@dataclass(frozen=True)
class Manifest:
    """A manifest as read.

    Attributes:
        items: what to scan, each path once, in order of appearance. A file that is not there is an item too: the scan
            quarantines it by name.
        claims: the facts, to be joined to the catalog by `labels.resolve(.., manifest=claims)`.
        notes: lines to print.
    """

    items: list[Item]
    claims: Claims
    notes: list[str]

    @property
    def masks(self) -> list[str]:
        """Files that are masks, never images: those of the column but items that hold their own labels."""
        items = {str(item.path) for item in self.items}
        return [path for path in self.claims.columns.get("mask", ()) if path and path not in items]


def read_manifest(
    path: str | Path, config: LabelsConfig, roots: Sequence[str] = (), declared: Iterable[str] = ()
) -> Manifest:
    """Read a manifest.

    Args:
        path: CSV, TSV or Parquet.
        config: names of columns that are called otherwise.
        roots: the `--data` arguments that are folders, where paths are looked for after the table's own folder.
        declared: names of the domain's columns, which overrule the file header.

    Raises:
        DataError: the table cannot be used, a row names no file, or none of the files exists.
        LabelError: two rows give one file unlike declared columns.
    """
    claims = claims_of_table(read_table(path), config, needs_facts=False)
    assert claims.base is not None
    claims.exact = True
    folders = [posixpath.abspath(claims.base), *(posixpath.abspath(root) for root in roots)]
    declared = [name for name in declared if name in claims.meta]
    items: dict[str, Item] = {}
    only: dict[str, set[str]] = defaultdict(set)
    absent: list[str] = []
    for k, key in enumerate(claims.key):
        if not key:
            raise DataError(f"{claims.where(k)} names no file: fill in the path, or remove the row")
        found, part = _find_item(key, folders, only)
        if found is None:
            absent.append(key)
            found = posixpath.normpath(posixpath.join(folders[0], key))
        columns = {name: claims.meta[name][k] for name in declared if claims.meta[name][k]}
        channels = {name: _channel(values[k], folders) for name, values in claims.channels.items()}
        ids = claims.columns.get("id")
        name = ids[k] if channels and ids and ids[k] else _relative(found, folders)
        item = Item(name, found, channels, columns)
        known = items.setdefault(found, item)
        if known.columns != columns or known.channels != channels:
            raise LabelError(f"{claims.where(k)}: {key!r} has other {', '.join(declared) or 'channels'} in a row above")
        only[found].update([part] if part else ())
    if len(absent) == len(claims.key):
        raise DataError(f"no file of {claims.origin} exists: {absent[0]!r} is not in {' or '.join(folders)}")
    resolve_masks(claims, roots)
    count = sum(max(1, len(parts)) for parts in only.values())
    notes = [f"manifest: {counted(count, 'item')} in {counted(len(claims.key), 'row')} of {claims.origin}"]
    if absent:
        notes.append(f"manifest: {counted(len(absent), 'row')} of files that do not exist, such as {absent[0]!r}")
    used = [replace(item, only=frozenset(only[path])) for path, item in items.items()]
    return Manifest(used, claims, notes)


def _find_item(key: str, folders: Sequence[str], known: Container[str]) -> tuple[str | None, str]:
    """The file of a row, None where there is none, and after `#` which item of it; empty where that is the file.

    Args:
        key: of the row.
        folders: where it is looked for.
        known: files of rows above: of a file of many items the first row alone looks for it.
    """
    file, mark, part = key.rpartition("#")
    if mark and posixpath.normpath(posixpath.join(folders[0], file)) in known:
        return posixpath.normpath(posixpath.join(folders[0], file)), part
    found = find_file(key, folders)
    if found is None and mark and file:
        found = find_file(file, folders)
        return found, part if found else ""
    return found, ""


def _channel(name: str, folders: Sequence[str]) -> str | None:
    """Absolute path of a channel's file; None for an absent channel."""
    if not name:
        return None
    return find_file(name, folders) or posixpath.normpath(posixpath.join(folders[0], name))


def _relative(path: str, folders: Sequence[str]) -> str:
    """The path relative to the first folder that holds it, else as it is."""
    for folder in folders:
        if path.startswith(folder.rstrip("/") + "/"):
            return posixpath.relpath(path, folder)
    return path


def write_manifest(rows: Sequence[Row], facts: Facts, path: str | Path, codes: np.ndarray | None = None) -> Path:
    """Write an editable manifest: one row an entry, with only the columns that hold something.

    Reading it back gives the same facts. Paths are relative to the manifest where the files lie below its folder.

    Args:
        rows: the catalog.
        facts: what is known of the items.
        path: a `.csv` file.
        codes: `[folds, n]` parts of a drawn split; None keeps the columns as they were given.
    """
    path = Path(path)
    base = posixpath.abspath(path.parent)
    own = [rows[i] for i in facts.row.tolist()]
    columns = {**_path_columns(own, base), "id": list(facts.id), **fact_columns(facts, codes, base)}
    kept = {name: values for name, values in columns.items() if name.startswith("path") or any(values)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(kept)
        writer.writerows(zip(*kept.values(), strict=True))
    return path


def fact_columns(facts: Facts, codes: np.ndarray | None = None, base: str = "/") -> dict[str, list[str]]:
    """What is known of each entry besides its item, as the columns of a manifest.

    Args:
        facts: what is known.
        codes: `[folds, n]` parts of a drawn split; None keeps the columns as they were given.
        base: folder below which paths of masks are written relative to it; all stay absolute by default.
    """
    columns = {"label": list(facts.label)}
    columns["mask"] = [(mask if base == "/" else _from(mask, base)) if mask else "" for mask in facts.mask]
    columns["group"] = [""] * len(facts) if facts.group_rule == "file" else list(facts.group)
    columns |= _parts(facts, codes)
    columns["window"] = [box_text(box) for box in facts.window]
    columns["pair"] = list(facts.pair)
    columns["time"] = [_time(seconds) for seconds in facts.time.tolist()]
    return columns | {name: list(values) for name, values in facts.meta.items() if name not in (*columns, "id")}


def _from(path: str, base: str) -> str:
    return posixpath.relpath(path, base) if path.startswith(base.rstrip("/") + "/") else path


def _path_columns(own: Sequence[Row], base: str) -> dict[str, list[str]]:
    """`path`, or `path:T1`, `path:T2`.. where the channels of items are files of their own."""
    names = list(dict.fromkeys(part for row in own for part in row.parts if part.startswith(CHANNEL_PART)))
    columns = {} if names else {"path": [_from(address(row.path, row.id), base) for row in own]}
    for name in names:
        files = [row.parts.get(name, "") for row in own]
        columns[CHANNEL_PREFIX + name[len(CHANNEL_PART) :]] = [_from(file, base) if file else "" for file in files]
    return columns


def _parts(facts: Facts, codes: np.ndarray | None) -> dict[str, list[str]]:
    """The columns `split` and `fold`: as drawn, else as given."""
    if codes is None or not codes.any():
        return {"split": list(facts.split), "fold": [str(k) if k >= 0 else "" for k in facts.fold.tolist()]}
    if len(codes) == 1:
        return {"split": [_NAMES.get(code, "") for code in codes[0].tolist()]}
    tested = codes == 3
    fold = np.where(tested.any(axis=0), tested.argmax(axis=0), -1)
    return {"fold": [str(k) if k >= 0 else "" for k in fold.tolist()]}


def _time(seconds: float) -> str:
    """ISO 8601 in UTC; empty when unknown."""
    return "" if seconds != seconds else datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
