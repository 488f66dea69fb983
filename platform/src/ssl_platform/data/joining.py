"""Items of several files in a scan: which files they are, and their rows put together."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ssl_platform.data.catalog import Catalog, record
from ssl_platform.data.channels import Item, combine_channels, join_channels
from ssl_platform.data.paths import Root
from ssl_platform.data.quarantine import Quarantined
from ssl_platform.errors import Unreadable
from ssl_platform.types import Row

_COLUMNS = ("id", "channels", "bytes", "fingerprint", "parts")
_NUMBERED = re.compile(r"_\d{4}(\.|$)")


def manifest_roots(items: Iterable[Item], argument: str) -> tuple[list[Root], list[Quarantined]]:
    """The files of a manifest's items as roots that give rows their ids, and those that are not there.

    Args:
        items: of the manifest.
        argument: the manifest, for the catalog's `source`.
    """
    roots: list[Root] = []
    absent: list[Quarantined] = []
    for item in items:
        files = [file for file in item.channels.values() if file is not None] or [item.path]
        for file in files:
            path = Path(file)
            if not path.exists():
                absent.append(Quarantined(file, "there is no such file"))
            elif file.endswith("/" + item.id):
                roots.append(Root(argument, path, Path(file[: -len(item.id)])))
            else:
                roots.append(Root(argument, path, path.parent))
    return roots, absent


def only_named(catalog: Catalog, items: Iterable[Item]) -> tuple[Catalog, list[Quarantined]]:
    """The catalog less what a manifest leaves out of files of several items, and what it names that is not in them.

    Args:
        catalog: as scanned.
        items: of the manifest.
    """
    only = {item.path: item.only for item in items if item.only}
    if not only:
        return catalog, []
    kept: list[int] = []
    there: dict[str, set[str]] = defaultdict(set)
    for i, (path, name) in enumerate(zip(catalog.column("path"), catalog.column("id"), strict=True)):
        part = name.rpartition("#")[2]
        there[path].add(part)
        if path not in only or part in only[path]:
            kept.append(i)
    absent = [f"{path}#{part}" for path, parts in only.items() if path in there for part in sorted(parts - there[path])]
    found = catalog if len(kept) == len(catalog) else catalog.select(kept)
    return found, [Quarantined(name, "the file holds no such item") for name in absent]


def numbered_items(paths: Sequence[str], suffixes: Sequence[str]) -> tuple[list[Item], list[str]]:
    """Items of nnU-Net's numbered channel files among the candidates, and lines to print.

    Args:
        paths: absolute candidates.
        suffixes: the domain's file endings.
    """
    numbered = [Item(path, path) for path in paths if _NUMBERED.search(path.rpartition("/")[2])]
    items, lines = join_channels(numbered, suffixes)
    return [item for item in items if item.channels], lines


def join_rows(catalog: Catalog, items: Sequence[Item]) -> tuple[Catalog, list[Quarantined]]:
    """The catalog with the rows of each item's channel files put together as one row, in the place of the first.

    Args:
        catalog: one row a file.
        items: with channels; the id is kept where it is no path, else it becomes the first file's less its number.

    Returns:
        The catalog, and the items whose files cannot be joined.
    """
    if not items:
        return catalog, []
    place: dict[str, list[int]] = defaultdict(list)
    for i, path in enumerate(catalog.column("path")):
        place[path].append(i)
    joined: dict[int, Row] = {}
    consumed: set[int] = set()
    bad: list[Quarantined] = []
    taken = set(catalog.column("id"))
    for item in items:
        files = {name: file for name, file in item.channels.items() if file is not None}
        found = [i for file in files.values() for i in place[file]]
        consumed.update(found)
        try:
            row = combine_channels(item, _rows(catalog, files, place))
            if min(found) in joined:
                raise Unreadable(f"its first channel is a file of another item too: {joined[min(found)].id}")
        except Unreadable as error:
            bad.append(Quarantined(item.path, error.why))
            continue
        first = catalog.row(min(found)).id
        # Numbered files make items called after the first one; a manifest says what items are called.
        name = _NUMBERED.sub(r"\1", first) if item.id.startswith("/") else item.id
        joined[min(found)] = row.replace(id=row.path if name in taken and name != first else name)
        taken.add(name)
    kept = [i for i in range(len(catalog)) if i in joined or i not in consumed]
    rows = {new: joined[old] for new, old in enumerate(kept) if old in joined}
    return _replace(catalog.select(kept), rows), bad


def _rows(catalog: Catalog, files: dict[str, str], place: dict[str, list[int]]) -> dict[str, Row]:
    """The row of each channel file.

    Raises:
        Unreadable: a file is not in the catalog, or holds several items.
    """
    rows = {}
    for name, file in files.items():
        found = place[file]
        if len(found) != 1:
            why = "cannot be used" if not found else f"holds {len(found)} items"
            raise Unreadable(f"the file of its channel {name} {why}: {file}")
        rows[name] = catalog.row(found[0])
    return rows


def _replace(catalog: Catalog, rows: Mapping[int, Row]) -> Catalog:
    """The catalog with some rows replaced."""
    columns = {name: catalog.column(name) for name in _COLUMNS}
    for i, row in rows.items():
        values = record(row)
        for name in _COLUMNS:
            columns[name][i] = values[name]
    return catalog.with_columns(**columns)
