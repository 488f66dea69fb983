"""Whether a public dataset was downloaded whole."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from ssl_platform.errors import DataError
from ssl_platform.plugins import DatasetDeclaration, registry


def verify_download(dataset: DatasetDeclaration, folder: str | Path) -> dict[str, Any]:
    """Go through a dataset's adapter and check that every file it names is there.

    Args:
        dataset: its declaration; the adapter yields manifest rows for a folder.
        folder: where it was downloaded to.

    Returns:
        counts: items, and items by split.

    Raises:
        DataError: the folder is absent, files are missing or empty, or the number of items is not the complete one.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise DataError(f"{folder}: no such folder; {dataset.name} is found at {dataset.url or 'its publisher'}")
    adapter: Any = registry().load(dataset)
    rows = list(adapter(root))
    absent = [
        str(path)
        for row in rows
        for column in ("path", "mask")
        if row.get(column) and not _present(path := root / str(row[column]))
    ]
    if absent:
        raise DataError(f"{dataset.name} in {folder}: {len(absent)} files are missing or empty, the first {absent[0]}")
    if not rows:
        raise DataError(f"{dataset.name}: nothing of it in {folder}; it is found at {dataset.url or 'its publisher'}")
    if dataset.items and len(rows) != dataset.items:
        raise DataError(f"{dataset.name} in {folder}: {len(rows)} items, a complete download has {dataset.items}")
    splits = Counter(str(row.get("split") or "no split") for row in rows)
    return {"name": dataset.name, "folder": str(root), "items": len(rows), "splits": dict(sorted(splits.items()))}


def _present(path: Path) -> bool:
    return path.is_dir() or (path.is_file() and path.stat().st_size > 0)
