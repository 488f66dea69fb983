"""The catalog: one row a readable item, as an Arrow table on disk.

While a catalog is built and used it is an Arrow file that the system maps into memory, so a catalog of any length costs
the pages that are looked at. `write` makes the portable `catalog.parquet` of a run folder.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ssl_platform.data.files import replace_file
from ssl_platform.errors import DataError
from ssl_platform.types import Row

ITEM_FIELDS = (
    pa.field("id", pa.string()),
    pa.field("path", pa.string()),
    pa.field("shape", pa.list_(pa.int64())),
    pa.field("spacing", pa.list_(pa.float64())),
    pa.field("channels", pa.list_(pa.string())),
    pa.field("dtype", pa.string()),
    pa.field("bytes", pa.int64()),
    pa.field("fingerprint", pa.string()),
    pa.field("group", pa.string()),
    pa.field("stored_label", pa.string()),  # JSON, so that 3 and "3" stay apart
    pa.field("meta", pa.string()),  # JSON object
    pa.field("parts", pa.string()),  # JSON object
)
SOURCE_FIELDS = (
    pa.field("source", pa.string()),  # the --data argument it came by
    pa.field("file_bytes", pa.int64()),  # state of the file when it was read, to see later changes
    pa.field("file_changed_ns", pa.int64()),
)
SCHEMA = pa.schema(ITEM_FIELDS)
SCAN_SCHEMA = pa.schema(ITEM_FIELDS + SOURCE_FIELDS)
_ROWS_A_GROUP = 8192


def record(row: Row) -> dict[str, Any]:
    """A row as the values of the catalog's item columns."""
    return {
        "id": row.id,
        "path": row.path,
        "shape": [int(n) for n in row.shape],
        "spacing": [float(s) for s in row.spacing],
        "channels": list(row.channels),
        "dtype": row.dtype,
        "bytes": int(row.bytes),
        "fingerprint": row.fingerprint,
        "group": row.group,
        "stored_label": None if row.label is None else json.dumps(row.label),
        "meta": json.dumps(dict(row.meta), sort_keys=True) if row.meta else "{}",
        "parts": json.dumps(dict(row.parts), sort_keys=True) if row.parts else "{}",
    }


def as_row(values: dict[str, Any]) -> Row:
    """The inverse of `record`."""
    label, meta, parts = values.pop("stored_label"), values.pop("meta"), values.pop("parts")
    for name in ("shape", "spacing", "channels"):
        values[name] = tuple(values[name])
    return Row(
        **values,
        label=None if label is None else json.loads(label),
        meta={} if meta == "{}" else json.loads(meta),
        parts={} if parts == "{}" else json.loads(parts),
    )


class Catalog:
    """Readable items, in a fixed order: row `i` is item `i` of everything that refers to items by number.

    Args:
        table: Arrow table with at least the columns of `SCHEMA`; further columns (label, split, fold, source...) are
            kept as they are.
        path: the Arrow file the table is mapped from, if any: workers then map it too instead of receiving a copy.
    """

    def __init__(self, table: pa.Table, path: Path | None = None) -> None:
        missing = [name for name in SCHEMA.names if name not in table.column_names]
        if missing:
            raise DataError(f"{path or 'the table'} is no catalog: it has no column {', '.join(missing)}")
        self.table = table
        self.path = path
        self._columns = [(name, table.column(name)) for name in SCHEMA.names]
        self._recent = functools.lru_cache(maxsize=4096)(self._row)

    @classmethod
    def open(cls, path: Path) -> Catalog:
        """Read a catalog: `.parquet` into memory (about 300 bytes a row), `.arrow` mapped.

        Raises:
            DataError: it is missing, damaged or no catalog.
        """
        try:
            if path.suffix == ".arrow":
                return cls(pa.ipc.open_file(pa.memory_map(str(path))).read_all(), path)
            return cls(pq.read_table(path))
        except (OSError, pa.ArrowInvalid) as error:
            raise DataError(f"{path} cannot be read as a catalog ({error}): scan the data again") from error

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Catalog:
        """A catalog of rows built elsewhere, in their order."""
        pieces = [SCHEMA.empty_table()]
        rows = iter(rows)
        while group := list(itertools.islice(rows, _ROWS_A_GROUP)):
            pieces.append(pa.Table.from_pylist([record(row) for row in group], schema=SCHEMA))
        return cls(pa.concat_tables(pieces))

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path} if self.path else {"table": self.table}

    def __setstate__(self, state: dict[str, Any]) -> None:
        other = Catalog.open(state["path"]) if "path" in state else Catalog(state["table"])
        self.__init__(other.table, other.path)  # type: ignore[misc]

    # ------------------------------------------------------------------------------------------------------- reading
    def __len__(self) -> int:
        return int(self.table.num_rows)

    def row(self, i: int) -> Row:
        """Item `i`; the most recent few thousand are kept."""
        return self._recent(int(i))

    def _row(self, i: int) -> Row:
        if not 0 <= i < len(self):
            raise IndexError(f"row {i} of a catalog of {len(self)}")
        return as_row({name: column[i].as_py() for name, column in self._columns})

    def rows(self) -> Iterator[Row]:
        """All items in order."""
        for batch in self.table.select(SCHEMA.names).to_batches(max_chunksize=1024):
            yield from map(as_row, batch.to_pylist())

    def column(self, name: str) -> list[Any]:
        """The values of one column, in order.

        Raises:
            DataError: there is no such column.
        """
        if name not in self.table.column_names:
            raise DataError(f"the catalog has no column {name!r}; it has {', '.join(self.table.column_names)}")
        values: list[Any] = self.table.column(name).to_pylist()
        return values

    @property
    def extra(self) -> tuple[str, ...]:
        """Names of the columns beyond those of an item."""
        return tuple(name for name in self.table.column_names if name not in SCHEMA.names)

    @functools.cached_property
    def id(self) -> str:
        """Hash of all ids and contents, whatever their order or place on disk: 16 hexadecimal digits."""
        total = 0
        for batch in self.table.select(["id", "fingerprint"]).to_batches(max_chunksize=_ROWS_A_GROUP):
            for name, content in zip(batch["id"].to_pylist(), batch["fingerprint"].to_pylist(), strict=True):
                digest = hashlib.blake2b(f"{name}\0{content}".encode("utf-8", "surrogateescape"), digest_size=8)
                total += int.from_bytes(digest.digest(), "little")
        return f"{total % (1 << 64):016x}"

    @functools.cached_property
    def channels(self) -> tuple[str, ...]:
        """Names of all channels that occur, in the order of the largest sets first."""
        joined = pc.unique(self._joined_channels()).to_pylist()
        sets = sorted((tuple(text.split("\0")) for text in joined if text), key=lambda names: (-len(names), names))
        return tuple(dict.fromkeys(name for names in sets for name in names))

    def _joined_channels(self) -> pa.ChunkedArray:
        return pc.binary_join(self.table.column("channels"), "\0")

    def buckets(self, ragged: bool = False) -> list[np.ndarray]:
        """Rows that can share a batch: same channels (unless they are padded) and same parts.

        Args:
            ragged: whether batches are padded to all channels (`Layout.ragged_channels`).

        Returns:
            int64 row numbers, one ascending array a bucket, largest bucket first.
        """
        keys = self.table.column("parts")
        if not ragged:
            keys = pc.binary_join_element_wise(keys, self._joined_channels(), "\1")
        codes = keys.combine_chunks().dictionary_encode()
        # the column holds each part's file too, but only its name decides the bucket
        names = [_part_names(text) for text in codes.dictionary.to_pylist()]
        lookup = {name: i for i, name in enumerate(dict.fromkeys(names))}
        bucket = np.array([lookup[name] for name in names], dtype=np.int64)[codes.indices.to_numpy()]
        found = [np.flatnonzero(bucket == b) for b in range(len(lookup))]
        return sorted(found, key=lambda rows: (-len(rows), int(rows[0])))

    # ------------------------------------------------------------------------------------------------------ deriving
    def select(self, rows: Sequence[int] | np.ndarray) -> Catalog:
        """The given rows in the given order; row numbers start anew."""
        return Catalog(self.table.take(pa.array(np.asarray(rows, dtype=np.int64))))

    def with_columns(self, **columns: Sequence[Any] | pa.Array) -> Catalog:
        """A copy with columns added or replaced, each one value a row."""
        table = self.table
        for name, values in columns.items():
            array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
            if name in SCHEMA.names:
                array = array.cast(SCHEMA.field(name).type)
            place = table.column_names.index(name) if name in table.column_names else -1
            table = table.append_column(name, array) if place < 0 else table.set_column(place, name, array)
        return Catalog(table)

    def write(self, path: Path) -> Path:
        """Write the catalog atomically, in row groups: Parquet, or an Arrow file for the suffix `.arrow`."""
        with replace_file(path) as temporary:
            if path.suffix == ".arrow":
                with pa.ipc.new_file(str(temporary), self.table.schema) as arrow:
                    arrow.write_table(self.table, max_chunksize=_ROWS_A_GROUP)
            else:
                with pq.ParquetWriter(temporary, self.table.schema, compression="zstd") as parquet:
                    for batch in self.table.to_batches(max_chunksize=_ROWS_A_GROUP):
                        parquet.write_batch(batch)
        return path


def _part_names(text: str) -> tuple[str, str]:
    """What decides the bucket of a row: the names of its parts and, behind the separator, its channels."""
    parts, _, channels = text.partition("\1")
    return ("\0".join(sorted(json.loads(parts))), channels)
