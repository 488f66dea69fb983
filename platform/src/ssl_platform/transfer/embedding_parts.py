"""An unfinished embedding table: whole items in parts beside the file, so that what was killed goes on.

FILE.unfinished/
  key.json             of which encoder, data and settings the parts are
  00000.parquet        rows of whole items, in order
  00000.json           written last: the items of that part, and what could not be read of them
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ssl_platform.data.files import remove_leftovers, replace_file
from ssl_platform.errors import UsageError
from ssl_platform.train.lock import WriterLock

GROUP_BYTES = 16 << 20
PART_BYTES, PART_SECONDS = 256 << 20, 20.0
"""A part ends with the first item that is complete after so many bytes of vectors, or so many seconds."""


class Parts:
    """The parts of a table; a context that keeps what is sealed where it fails, and leaves nothing where none is.

    Args:
        out: the file the table will be.
        schema: of its rows.
        key: what must be the same for the parts to fit together; plain data.

    Attributes:
        items: complete items, by part.
        unread: why some of an item could not be read, by id, of the complete items.
        damaged: names of parts that were found cut off and are made again.

    Raises:
        UsageError: the parts that lie there are of something else, or another process writes them.
    """

    def __init__(self, out: Path, schema: pa.Schema, key: Mapping[str, Any]) -> None:
        self.out, self.schema = out, schema
        self.folder = out.with_name(f"{out.name}.unfinished")
        self.items: dict[int, list[str]] = {}
        self.unread: dict[str, str] = {}
        self.damaged: list[str] = []
        self._key = json.loads(json.dumps(dict(key)))
        self._writer: pq.ParquetWriter | None = None
        self._pending: list[pa.Table] = []
        self._pending_bytes = self._part_bytes = 0
        self._part_items: dict[str, None] = {}
        self._begun = time.monotonic()

    def __enter__(self) -> Parts:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = WriterLock(self.folder)
        try:
            self._check_key()
            remove_leftovers(self.folder, time.time())
            self._find()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.close()
            self._path(".tmp").unlink(missing_ok=True)
        self._lock.release()
        if not self.items:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _check_key(self) -> None:
        path = self.folder / "key.json"
        if not path.exists():
            with replace_file(path) as temporary:
                temporary.write_text(json.dumps(self._key, indent=2), encoding="utf-8")
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            found = {}
        if found == self._key:
            return
        unlike = [name for name in self._key if found.get(name) != self._key[name]]
        raise UsageError(
            f"--out {self.out}: {self.folder} holds the parts of another table ({', '.join(unlike)} differ); give the "
            "command they are of to finish them, choose another file, or remove that folder"
        )

    def _find(self) -> None:
        """Take over complete parts; what is cut off is removed."""
        for path in sorted(self.folder.glob("[0-9]*.json")):
            rows = path.with_suffix(".parquet")
            try:
                told = json.loads(path.read_text(encoding="utf-8"))
                with pq.ParquetFile(rows) as file:
                    whole = file.metadata.num_rows == told["rows"] and file.schema_arrow.equals(self.schema)
            except (OSError, ValueError, KeyError, pa.ArrowException):
                whole = False
            if whole:
                self.items[int(path.stem)] = told["items"]
                self.unread |= told["unread"]
            else:
                self.damaged.append(rows.name)
                path.unlink()
                rows.unlink(missing_ok=True)

    @property
    def count(self) -> int:
        """Complete items."""
        return sum(map(len, self.items.values()))

    @property
    def due(self) -> bool:
        """Whether the part that is written should end with its last item."""
        return self._part_bytes >= PART_BYTES or time.monotonic() - self._begun >= PART_SECONDS

    def add(self, columns: Mapping[str, Sequence[Any] | np.ndarray], vectors: np.ndarray) -> None:
        """Add rows to the part that is written.

        Args:
            columns: every column but `vector`, n values each; `[n, S]` arrays for places.
            vectors: `[n, D]` float32.
        """
        self._lock.renew()
        if not len(vectors):
            return
        arrays = [_array(columns.get(field.name, vectors), field.type) for field in self.schema]
        self._pending.append(pa.Table.from_arrays(arrays, schema=self.schema))
        self._part_items |= dict.fromkeys(columns["id"])
        self._pending_bytes += vectors.nbytes
        self._part_bytes += vectors.nbytes
        if self._pending_bytes >= GROUP_BYTES:
            self._flush()

    def seal(self, unread: Mapping[str, str]) -> None:
        """End the part: its items are complete and kept, whatever happens next.

        Args:
            unread: why some of an item could not be read, by id.
        """
        if not self._part_items:
            return
        self._flush()
        assert self._writer is not None
        self._writer.close()
        self._writer = None
        rows = pq.read_metadata(self._path(".tmp")).num_rows
        self._path(".tmp").replace(self._path(".parquet"))
        items = list(self._part_items)
        told = {"rows": rows, "items": items, "unread": {name: unread[name] for name in items if name in unread}}
        with replace_file(self._path(".json")) as temporary:
            temporary.write_text(json.dumps(told), encoding="utf-8")
        self.unread |= told["unread"]
        self.items[self._number] = items
        self._part_items, self._part_bytes, self._begun = {}, 0, time.monotonic()

    def paths(self) -> list[Path]:
        """The complete parts, in order."""
        return [self.folder / f"{number:05d}.parquet" for number in sorted(self.items)]

    def groups(self) -> Iterator[pa.Table]:
        """The rows of the complete parts, a row group at a time."""
        for path in self.paths():
            with pq.ParquetFile(path) as file:
                for number in range(file.num_row_groups):
                    yield file.read_row_group(number)

    def remove(self) -> None:
        """Remove all parts: they are in the table now."""
        self.items = {}

    @property
    def _number(self) -> int:
        return max(self.items, default=-1) + 1

    def _path(self, suffix: str) -> Path:
        return self.folder / f"{self._number:05d}{suffix}"

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path(".tmp"), self.schema, compression="zstd")
        if self._pending:
            table = pa.concat_tables(self._pending).combine_chunks()
            self._writer.write_table(table, row_group_size=max(1, len(table)))
        self._pending, self._pending_bytes = [], 0


def _array(values: Sequence[Any] | np.ndarray, kind: pa.DataType) -> pa.Array:
    """An Arrow array; `[n, k]` becomes lists of fixed length k."""
    if isinstance(values, np.ndarray) and values.ndim == 2:
        flat = np.ascontiguousarray(values, dtype=kind.value_type.to_pandas_dtype()).reshape(-1)
        return pa.FixedSizeListArray.from_arrays(pa.array(flat, kind.value_type), kind.list_size)
    return pa.array(values, kind)
