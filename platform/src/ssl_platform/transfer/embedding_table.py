"""The finished embedding table: one Parquet file with a two-dimensional projection of all vectors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ssl_platform.data.files import replace_file
from ssl_platform.errors import UsageError
from ssl_platform.transfer.embedding_parts import GROUP_BYTES, Parts

METADATA = b"ssl_platform"
_ROWS = 4096
_TEXT = ("id", "group", "split", "label")


def schema_of(dim: int, places: Mapping[str, pa.DataType], about: Mapping[str, Any]) -> pa.Schema:
    """Columns of an embedding table before its projection.

    Args:
        dim: length D of `vector`.
        places: names of the columns that say where in the item a row lies, with their Arrow types.
        about: facts of the whole table, kept as JSON in the file's metadata.
    """
    fields = [*((name, pa.string()) for name in _TEXT), *places.items(), ("vector", pa.list_(pa.float32(), dim))]
    return pa.schema(fields, metadata={METADATA: json.dumps(dict(about)).encode()})


class Moments:
    """Sums from which principal components follow, in memory that does not grow with the rows.

    Args:
        dim: D.
    """

    def __init__(self, dim: int) -> None:
        self.count = 0
        self.sum, self.outer = np.zeros(dim), np.zeros((dim, dim))
        self.shift: np.ndarray | None = None  # the first rows' mean: sums of squares around it keep their digits

    def add(self, vectors: np.ndarray) -> None:
        """Count `[n, D]` rows in."""
        if not len(vectors):
            return
        if self.shift is None:
            self.shift = vectors.mean(0, dtype=np.float64)
        centred = vectors.astype(np.float64) - self.shift
        self.count += len(vectors)
        self.sum += centred.sum(0)
        self.outer += centred.T @ centred

    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean `[D]` and the first two principal axes `[D, 2]`, each with its largest entry positive."""
        dim = len(self.sum)
        if self.shift is None:
            return np.zeros(dim), np.zeros((dim, 2))
        mean = self.sum / self.count
        _, vectors = np.linalg.eigh(self.outer / self.count - np.outer(mean, mean))
        first = vectors[:, ::-1][:, :2]
        first = first * np.sign(first[np.abs(first).argmax(0), np.arange(first.shape[1])])
        return mean + self.shift, np.pad(first, ((0, 0), (0, 2 - first.shape[1])))


def finish(parts: Parts, out: Path, progress: Callable[[int, int], None] | None = None) -> int:
    """Join complete parts into `out`, in one step, with the first two principal components as `x` and `y`.

    Args:
        parts: of all items.
        out: the file, replaced where it exists.
        progress: called with rows done and in all; every row is read twice.

    Returns:
        How many rows there are.
    """
    kind = parts.schema.field("vector").type
    total = 2 * sum(pq.read_metadata(path).num_rows for path in parts.paths())
    done, moments = 0, Moments(kind.list_size)

    def told(rows: int) -> None:
        nonlocal done
        done += rows
        if progress is not None:
            progress(done, total)

    for table in parts.groups():
        for start in range(0, len(table), _ROWS):  # sums are taken in float64
            moments.add(_vectors(table.slice(start, _ROWS)))
        told(len(table))
    mean, axes = moments.axes()
    schema = parts.schema.append(pa.field("x", pa.float32())).append(pa.field("y", pa.float32()))
    with replace_file(out) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for table in _joined(parts.groups()):
            vectors = _vectors(table)
            found = [(vectors[start : start + _ROWS] - mean) @ axes for start in range(0, len(vectors), _ROWS)]
            places = np.concatenate(found).astype(np.float32)
            both = [*table.columns, pa.array(places[:, 0].copy()), pa.array(places[:, 1].copy())]
            writer.write_table(pa.Table.from_arrays(both, schema=schema), row_group_size=max(1, len(table)))
            told(len(table))
    return moments.count


def _joined(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Small tables that follow one another as one: the parts of a slow encoder hold few rows each."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(part.nbytes for part in waiting) >= GROUP_BYTES:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _vectors(table: pa.Table) -> np.ndarray:
    """`[n, D]` float32."""
    column = table.column("vector")
    flat: np.ndarray = column.combine_chunks().flatten().to_numpy()
    return flat.reshape(len(table), column.type.list_size)


def check_out(out: Path) -> None:
    """Find out before any work whether a table can be written.

    Raises:
        UsageError: `out` is a folder, no `.parquet`, or its folder takes no files.
    """
    if out.is_dir():
        raise UsageError(f"--out {out}: is a folder; name a file in it, e.g. {out / 'embeddings.parquet'}")
    if out.suffix.lower() != ".parquet":
        raise UsageError(f"--out {out}: embeddings are written as Parquet; let the name end in .parquet")
    try:
        with replace_file(out) as probe:
            probe.touch()
            raise InterruptedError  # nothing takes the place of `out` yet
    except InterruptedError:
        pass
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written ({error.strerror}); choose another folder") from error
