"""A few items of a sample set, of all its kinds."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from ssl_platform.data.table import Table


def few_items(table: Table, count: int, columns: Mapping[str, Sequence[str]] | None = None, name: str = "few") -> Path:
    """Write a manifest of some rows of another beside it: round and round its labels, splits and file endings.

    Args:
        table: the manifest; paths in it are relative to its folder.
        count: rows to keep, at most.
        columns: values by name to put in, one a row of `table`.
        name: of the new file, without `.csv`.
    """
    all_columns = {**table.columns, **(columns or {})}
    kinds: dict[tuple[str, ...], list[int]] = {}
    paths = table.columns.get("path", [""] * len(table))
    for i, path in enumerate(paths):
        facts = (all_columns[key][i] for key in ("label", "split") if key in all_columns)
        kinds.setdefault((*facts,), []).append(i)
        kinds.setdefault((Path(path).suffix.lower(),), []).append(i)
    kept: dict[int, None] = {}
    queues = [list(rows) for rows in kinds.values()]
    while len(kept) < min(count, len(table)) and any(queues):
        for queue in queues:
            if queue and len(kept) < count:
                kept[queue.pop(0)] = None
    out = table.path.with_name(f"{table.path.stem}_{name}.csv")
    with out.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(all_columns)
        writer.writerows([[values[i] for values in all_columns.values()] for i in sorted(kept)])
    return out
