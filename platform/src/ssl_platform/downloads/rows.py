"""What a download yields: its adapter's rows, and the manifest they are written as."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssl_platform.errors import DataError
from ssl_platform.plugins import DatasetDeclaration, registry

CHANNEL = "path:"
_WITHIN = re.compile(r"(?<=\w\.)(\w+)#[^/#]+$")  # `train.h5#17`: an item of a file of several
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Download:
    """What was found of a dataset.

    Attributes:
        name: of the dataset.
        folder: where it lies.
        items: files, or folders, that are items.
        splits: items of each part of its split, or of each fold.
        read: how far files were looked at.
        problems: what is missing, empty, damaged or not as many as published; a line each.
    """

    name: str
    folder: str
    items: int
    splits: dict[str, int]
    read: str
    problems: list[str] = field(default_factory=list)


def write_rows(
    dataset: DatasetDeclaration, folder: str | Path, path: str | Path, *, without: Container[str] = ()
) -> Download:
    """Write what an adapter yields as a manifest that every command reads (`--manifest`).

    Args:
        dataset: its declaration.
        folder: where it was downloaded to.
        path: the `.csv` to write; paths in it are relative where the dataset lies below its folder.
        without: files whose rows are left out.

    Raises:
        DataError: there is no adapter, or the download lacks the lists it reads.
    """
    from ssl_platform.data.files import replace_file

    if not dataset.factory:
        why = dataset.facts.get("adapter", "")
        raise DataError(f"dataset {dataset.name!r} has no adapter yet ({why}): write a manifest by hand (docs/data.md)")
    root, path = folder_of(folder, dataset), Path(path).absolute()
    columns = list(dict.fromkeys(name for row in rows_of(dataset, root) for name in row))
    items: dict[tuple[str, ...], str] = {}
    with replace_file(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        for row in rows_of(dataset, root):
            if any(stored_in(file) in without for file in (*files_of(row), str(row.get("mask", "")))):
                continue
            items.setdefault(files_of(row), part_of(row))
            writer.writerow({name: _placed(name, value, root, path.parent) for name, value in row.items()})
        if not items:
            raise DataError(f"{folder}: nothing of {dataset.name} is in it; it is found at {publisher(dataset)}")
    splits = Counter(part for part in items.values() if part)
    return Download(dataset.name, str(root), len(items), dict(sorted(splits.items())), "")


def folder_of(folder: str | Path, dataset: DatasetDeclaration | None = None) -> Path:
    """A folder as an absolute path.

    Raises:
        DataError: there is none; says where the dataset is found.
    """
    root = Path(folder).expanduser().absolute()
    if not root.is_dir():
        place = f"; {dataset.name} is found at {publisher(dataset)}" if dataset else ""
        raise DataError(f"{folder}: no such folder{place}")
    return root


def publisher(dataset: DatasetDeclaration) -> str:
    """Where people get a dataset, for messages."""
    return dataset.url or "its publisher's"


def rows_of(dataset: DatasetDeclaration, root: Path) -> Iterator[Row]:
    """What a dataset's adapter yields for a folder, as it is asked for."""
    adapter: Any = registry().load(dataset)
    rows: Iterable[Row] = adapter(root)
    yield from rows


def files_of(row: Row) -> tuple[str, ...]:
    """The file of an item, or those of its channels."""
    return tuple(str(value) for name, value in row.items() if value and (name == "path" or name.startswith(CHANNEL)))


def stored_in(path: str) -> str:
    """The file that holds an item: `train.h5` of `train.h5#17`, others as they are."""
    return _WITHIN.sub(r"\1", path)


def part_of(row: Row) -> str:
    """The part of the split an item is in, or its fold."""
    return str(row.get("split") or (f"fold {row['fold']}" if row.get("fold") else ""))


def _placed(name: str, value: Any, root: Path, base: Path) -> str:
    """A value as it stands in a manifest in the folder `base`."""
    if not value or not (name in ("path", "mask") or name.startswith(CHANNEL)):
        return str(value)
    path = os.path.normpath(root / str(value))
    return os.path.relpath(path, base) if path.startswith(f"{base}{os.sep}") else path
