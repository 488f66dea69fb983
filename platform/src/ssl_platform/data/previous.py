"""The catalog of the last scan: which of its rows still hold."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ssl_platform.data.catalog import SCAN_SCHEMA, Catalog
from ssl_platform.errors import DataError


def _hash(path: str) -> int:
    digest = hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _numbers(rows: Iterable[int]) -> pa.Array:
    # by way of numpy: Arrow looks for pandas each time it is given a list
    return pa.array(np.fromiter(rows, dtype=np.int64))


class Previous:
    """Rows by path, held as 16 bytes a row: hashes in order, and where they stand.

    Args:
        table: catalog with the columns of `SCAN_SCHEMA`.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        hashes = [_hash(p) for batch in table.select(["path"]).to_batches() for p in batch["path"].to_pylist()]
        self._hashes = np.array(hashes, dtype=np.uint64)
        self._order = np.argsort(self._hashes, kind="stable")
        self._hashes = self._hashes[self._order]

    @classmethod
    def open(cls, path: Path) -> Previous:
        """The last scan's catalog; empty when there is none or it is of another make."""
        table = SCAN_SCHEMA.empty_table()
        if path.exists():
            with contextlib.suppress(DataError):
                found = Catalog.open(path).table
                table = found if found.schema.equals(SCAN_SCHEMA) else table
        return cls(table)

    def rows(self, paths: Sequence[str], states: Sequence[tuple[int, int] | None]) -> list[list[int]]:
        """For each path, its rows if neither size nor time of change differ from then; else none."""
        if not len(self._hashes):
            return [[] for _ in paths]
        wanted = np.array([_hash(p) for p in paths], dtype=np.uint64)
        first, last = (np.searchsorted(self._hashes, wanted, side=side) for side in ("left", "right"))
        places = [sorted(self._order[a:b].tolist()) for a, b in zip(first, last, strict=True)]
        flat = self.table.select(["path", "file_bytes", "file_changed_ns"]).take(_numbers(itertools.chain(*places)))
        stored = iter(zip(*(column.to_pylist() for column in flat.columns), strict=True))
        found = []
        for path, now, rows in zip(paths, states, places, strict=True):
            facts = [next(stored) for _ in rows]
            same = now is not None and all(fact == (path, *now) for fact in facts)
            found.append(rows if same else [])
        return found

    def ids(self, rows: Iterable[int]) -> list[str]:
        """Ids of some rows."""
        ids: list[str] = self.table.column("id").take(_numbers(rows)).to_pylist()
        return ids

    def weave(self, pieces: Sequence[dict[str, Any] | int]) -> pa.Table:
        """New records and rows of this catalog (by number), as one table in the order given."""
        new = [piece for piece in pieces if isinstance(piece, dict)]
        kept = [piece for piece in pieces if isinstance(piece, int)]
        fresh = pa.Table.from_pylist(new, schema=SCAN_SCHEMA)
        if not kept:
            return fresh
        old = self.table.take(_numbers(kept))
        if not new:
            return old
        number, next_new, next_old = [], 0, len(new)
        for piece in pieces:
            if isinstance(piece, dict):
                number.append(next_new)
                next_new += 1
            else:
                number.append(next_old)
                next_old += 1
        return pa.concat_tables([fresh, old]).take(_numbers(number))
