"""Embeddings as Parquet, written in row groups as they come, whatever their number."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ssl_platform.data.files import replace_file
from ssl_platform.errors import UsageError

METADATA = b"ssl_platform"
_GROUP_BYTES = 32 << 20
_TYPES = {"id": pa.string(), "group": pa.string(), "split": pa.string(), "label": pa.string()}


class EmbeddingTable:
    """Collects rows and writes a row group whenever enough are there.

    Args:
        path: the file written.
        dim: length D of `vector`.
        places: names of the columns that say where in the item a row lies, with their Arrow types.
        about: facts of the whole table, kept as JSON in the file's metadata.
        projected: whether the first two principal components of all rows come with them as `x` and `y`.
    """

    def __init__(
        self, path: Path, dim: int, places: Mapping[str, pa.DataType], about: Mapping[str, Any], projected: bool
    ) -> None:
        self.path, self.dim, self.rows = path, dim, 0
        fields = [*_TYPES.items(), *places.items(), ("vector", pa.list_(pa.float32(), dim))]
        self.schema = pa.schema(fields, metadata={METADATA: json.dumps(dict(about)).encode()})
        self._writer = pq.ParquetWriter(path, self.schema, compression="zstd")
        self._pending: list[pa.Table] = []
        self._bytes = 0
        self._moments = Moments(dim) if projected else None

    def add(self, columns: Mapping[str, Sequence[Any] | np.ndarray], vectors: np.ndarray) -> None:
        """Add rows.

        Args:
            columns: every column but `vector`, n values each; `[n, S]` arrays for places.
            vectors: `[n, D]` float32.
        """
        arrays = [_array(columns[field.name], field.type) for field in self.schema if field.name != "vector"]
        self._pending.append(
            pa.Table.from_arrays([*arrays, _array(vectors, pa.list_(pa.float32(), self.dim))], schema=self.schema)
        )
        self._bytes += vectors.nbytes
        self.rows += len(vectors)
        if self._moments is not None:
            self._moments.add(vectors)
        if self._bytes >= _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            self._writer.write_table(pa.concat_tables(self._pending).combine_chunks(), row_group_size=max(1, self.rows))
        self._pending, self._bytes = [], 0

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        self._writer.close()

    def project_into(self, path: Path) -> None:
        """Copy the closed table to `path` with `x` and `y`, one row group at a time."""
        assert self._moments is not None
        mean, axes = self._moments.axes()
        source = pq.ParquetFile(self.path)
        schema = self.schema.append(pa.field("x", pa.float32())).append(pa.field("y", pa.float32()))
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for number in range(source.num_row_groups):
                table = source.read_row_group(number)
                vectors = table.column("vector").combine_chunks().flatten().to_numpy().reshape(-1, self.dim)
                places = ((vectors - mean) @ axes).astype(np.float32)
                both = [*table.columns, pa.array(places[:, 0].copy()), pa.array(places[:, 1].copy())]
                writer.write_table(pa.Table.from_arrays(both, schema=schema), row_group_size=max(1, len(table)))
        source.close()


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


@contextmanager
def writing(
    path: Path, dim: int, places: Mapping[str, pa.DataType], about: Mapping[str, Any], projected: bool
) -> Iterator[EmbeddingTable]:
    """A table that takes the place of `path` once the block succeeds; nothing is left where it fails."""
    with replace_file(path) as final:
        draft = final.with_name(final.name.replace(".tmp", ".draft.tmp")) if projected else final
        table = EmbeddingTable(draft, dim, places, about, projected)
        try:
            yield table
            table.close()
            if projected:
                table.project_into(final)
        finally:
            with suppress(OSError, ValueError):
                table._writer.close()
            if projected:
                draft.unlink(missing_ok=True)


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


def _array(values: Sequence[Any] | np.ndarray, kind: pa.DataType) -> pa.Array:
    """An Arrow array; `[n, k]` becomes lists of fixed length k."""
    if isinstance(values, np.ndarray) and values.ndim == 2:
        flat = np.ascontiguousarray(values, dtype=kind.value_type.to_pandas_dtype()).reshape(-1)
        return pa.FixedSizeListArray.from_arrays(pa.array(flat, kind.value_type), kind.list_size)
    return pa.array(values, kind)
