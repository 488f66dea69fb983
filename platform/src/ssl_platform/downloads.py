"""A public dataset as it was downloaded: which one it is, whether it is whole, and its rows as a manifest."""

from __future__ import annotations

import csv
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from ssl_platform.config.overrides import parse_overrides
from ssl_platform.errors import DataError, UsageError
from ssl_platform.plugins import DatasetDeclaration, registry

CHANNEL = "path:"
Rows = Mapping[str, Any]


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


def tell_dataset(folder: str | Path) -> DatasetDeclaration:
    """The dataset whose files these are: all its patterns match, or most of them where one download is incomplete.

    Raises:
        DataError: no folder, no dataset, or several.
    """
    root = _folder(folder)
    known = [dataset for dataset in registry().datasets() if dataset.files]
    share = {
        dataset.name: sum(_any(root, pattern) for pattern in dataset.files) / len(dataset.files) for dataset in known
    }
    best = max(share.values(), default=0.0)
    found = [dataset for dataset in known if share[dataset.name] == best]
    if best > 0.5 and len(found) == 1:
        return found[0]
    like = f": it could be {' or '.join(dataset.name for dataset in found)}" if best > 0.5 else ""
    raise DataError(f"{folder}: no dataset is told from its files{like}; say which (ssl-platform datasets lists them)")


def verify_download(
    dataset: DatasetDeclaration, folder: str | Path, *, quick: bool = False, out: TextIO | None = None
) -> Download:
    """Check that every file of a dataset is there and can be read.

    Small sets are read to their end (as `scan` does), of larger ones the headers. Of a dataset without an adapter only
    the files its layout names are looked for.

    Args:
        dataset: its declaration; the adapter yields manifest rows for a folder.
        folder: where it was downloaded to.
        quick: look only whether files are there and not empty.
        out: where progress is shown.

    Raises:
        DataError: the folder, or the list of files the dataset brings, is absent or damaged.
    """
    root = _folder(folder, dataset)
    problems = [f"{pattern}: nothing like it is there" for pattern in dataset.files if not _any(root, pattern)]
    if not dataset.factory:
        return Download(dataset.name, str(root), 0, {}, "names only: this dataset has no adapter yet", problems)
    if len(problems) == len(dataset.files) > 0:
        raise DataError(f"{folder}: nothing of {dataset.name} is in it; it is found at {_where(dataset)}")
    seen: dict[str, str | None] = {}
    whole: dict[tuple[str, ...], str] = {}
    for row in _rows(dataset, root):
        files = _files(row)
        for path in (*files, *([row["mask"]] if row.get("mask") else [])):
            if path not in seen:
                seen[path] = _absent(root / path)
        whole.setdefault(files, _part(row))
    bad = {path: why for path, why in seen.items() if why}
    read = "names and sizes of files"
    if not quick and dataset.domain and len(bad) < len(whole):
        unread, read = _read(dataset, root, out)
        bad = unread | bad
    problems += [f"{path}: {why}" for path, why in sorted(bad.items())]
    splits = Counter(part for part in whole.values() if part)
    problems += _counts(dataset, len(whole), splits)
    return Download(dataset.name, str(root), len(whole), dict(sorted(splits.items())), read, problems)


def write_rows(dataset: DatasetDeclaration, folder: str | Path, path: str | Path) -> Download:
    """Write what an adapter yields as a manifest that every command reads (`--manifest`).

    Args:
        dataset: its declaration.
        folder: where it was downloaded to.
        path: the `.csv` to write; paths in it are relative where the dataset lies below its folder.

    Raises:
        DataError: there is no adapter, or the download lacks the lists it reads.
    """
    from ssl_platform.data.files import replace_file

    if not dataset.factory:
        why = dataset.facts.get("adapter", "")
        raise DataError(f"dataset {dataset.name!r} has no adapter yet ({why}): write a manifest by hand (docs/data.md)")
    root, path = _folder(folder, dataset), Path(path).absolute()
    columns = list(dict.fromkeys(name for row in _rows(dataset, root) for name in row))
    items: dict[tuple[str, ...], str] = {}
    with replace_file(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        for row in _rows(dataset, root):
            items.setdefault(_files(row), _part(row))
            writer.writerow({name: _placed(name, value, root, path.parent) for name, value in row.items()})
        if not items:
            raise DataError(f"{folder}: nothing of {dataset.name} is in it; it is found at {_where(dataset)}")
    splits = Counter(part for part in items.values() if part)
    return Download(dataset.name, str(root), len(items), dict(sorted(splits.items())), "")


def _folder(folder: str | Path, dataset: DatasetDeclaration | None = None) -> Path:
    root = Path(folder).expanduser().absolute()
    if not root.is_dir():
        place = f"; {dataset.name} is found at {_where(dataset)}" if dataset else ""
        raise DataError(f"{folder}: no such folder{place}")
    return root


def _where(dataset: DatasetDeclaration) -> str:
    return dataset.url or "its publisher's"


def _any(root: Path, pattern: str) -> bool:
    return next(root.glob(pattern), None) is not None


def _rows(dataset: DatasetDeclaration, root: Path) -> Iterator[Rows]:
    adapter: Any = registry().load(dataset)
    rows: Iterable[Rows] = adapter(root)
    yield from rows


def _files(row: Rows) -> tuple[str, ...]:
    """The file of an item, or those of its channels."""
    return tuple(str(value) for name, value in row.items() if value and (name == "path" or name.startswith(CHANNEL)))


def _part(row: Rows) -> str:
    """The part of the split an item is in, or its fold."""
    return str(row.get("split") or (f"fold {row['fold']}" if row.get("fold") else ""))


def _absent(path: Path) -> str | None:
    """Why a file is not what a download leaves there."""
    from ssl_platform.data.files import stand_in

    try:
        if path.is_dir():
            return None if any(path.iterdir()) else "an empty folder"
        return "empty" if path.stat().st_size == 0 else stand_in(path)
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return (error.strerror or str(error)).lower()


def _read(dataset: DatasetDeclaration, root: Path, out: TextIO | None) -> tuple[dict[str, str], str]:
    """What a run would refuse of a download, by file or by what it is about; and how far files were read."""
    from ssl_platform.configure import configure
    from ssl_platform.data.quarantine import parse_quarantine
    from ssl_platform.opening import open_data

    keys: dict[str, Any] = dict(parse_overrides(dataset.settings))
    with tempfile.TemporaryDirectory() as scratch:
        manifest = Path(scratch) / f"{dataset.name}.csv"
        write_rows(dataset, root, manifest)
        config = configure("scan", domain=dataset.domain, manifest=str(manifest), overrides=keys)
        config.cache.dir, listed = scratch, Path(scratch) / "quarantine.csv"
        bad: dict[str, str] = {}
        lines: list[str] = []
        try:
            found = open_data(config, quarantine=listed, out=out)
            lines, unusable = found.lines, found.quarantined
        except UsageError as error:  # what cannot be read comes first: it may be why labels fit nothing
            bad["labels and splits"] = str(error)
            unusable = parse_quarantine(listed.read_bytes()) if listed.exists() else []
    read = next((line for line in lines if line.startswith("content: ")), "content: headers")
    return bad | {_short(item.path, root): item.reason for item in unusable}, read.removeprefix("content: ")


def _short(path: str, root: Path) -> str:
    return os.path.relpath(path, root) if path.startswith(f"{root}{os.sep}") else path


def _counts(dataset: DatasetDeclaration, items: int, splits: Mapping[str, int]) -> list[str]:
    """Where a download has not as many items as were published."""
    lines = []
    if dataset.items and items != dataset.items:
        lines.append(f"{items:,} items, a complete download has {dataset.items:,}")
    for part, size in dataset.sizes.items():
        if splits.get(part, 0) != size:
            lines.append(f"{part}: {splits.get(part, 0):,} items, the published split has {size:,}")
    return lines


def _placed(name: str, value: Any, root: Path, base: Path) -> str:
    """A value as it stands in a manifest in the folder `base`."""
    if not value or not (name in ("path", "mask") or name.startswith(CHANNEL)):
        return str(value)
    path = os.path.normpath(root / str(value))
    return os.path.relpath(path, base) if path.startswith(f"{base}{os.sep}") else path
