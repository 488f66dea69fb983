"""Where in the shards something lies: a table of keys, looked up without reading it whole into Python."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ssl_platform.data.files import replace_file

SCHEMA = pa.schema(
    [
        pa.field("key", pa.uint64()),
        pa.field("member", pa.string()),
        pa.field("item", pa.int64()),
        pa.field("shard", pa.int32()),
        pa.field("offset", pa.int64()),
        pa.field("bytes", pa.int64()),
        pa.field("crc32", pa.uint32()),
    ]
)


@dataclass(frozen=True)
class Span:
    """Bytes of one shard.

    Attributes:
        member: name within the shard.
        item: number of the item it was packed for.
        shard: number of the shard.
        offset: first byte.
        length: bytes.
        checksum: their CRC-32.
    """

    member: str
    item: int
    shard: int
    offset: int
    length: int
    checksum: int


def key_of(name: str) -> int:
    """The 64-bit key that something is looked up by."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def file_key(path: str) -> int:
    """The key of a source file."""
    return key_of(f"file\0{path}")


def shard_name(number: int) -> str:
    """Name of a shard below the folder of the prepared data."""
    return f"shards/{number:06d}.tar"


def write_index(spans: Iterable[tuple[int, Span]], path: Path) -> None:
    """Write the table of all keys, sorted by key."""
    rows = sorted(spans, key=lambda pair: pair[0])
    columns: dict[str, list[int] | list[str]] = {
        "key": [key for key, _ in rows],
        "member": [span.member for _, span in rows],
        "item": [span.item for _, span in rows],
        "shard": [span.shard for _, span in rows],
        "offset": [span.offset for _, span in rows],
        "bytes": [span.length for _, span in rows],
        "crc32": [span.checksum for _, span in rows],
    }
    with replace_file(path) as draft:
        pq.write_table(pa.table(columns, schema=SCHEMA), draft, compression="zstd")


class Index:
    """The table of all keys: 33 bytes and a name each.

    Args:
        path: of `index.parquet`.
    """

    def __init__(self, path: Path) -> None:
        self._table = pq.read_table(path, schema=SCHEMA)
        self._keys = self._table["key"].to_numpy()
        names = ("item", "shard", "offset", "bytes", "crc32")
        self._columns = [self._table[name].to_numpy() for name in names]

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key: int) -> Span | None:
        """What is stored under a key, or None."""
        at = int(np.searchsorted(self._keys, np.uint64(key)))
        return self[at] if at < len(self._keys) and int(self._keys[at]) == key else None

    def __getitem__(self, at: int) -> Span:
        member = str(self._table["member"][at])
        return Span(member, *(int(column[at]) for column in self._columns))

    def key(self, at: int) -> int:
        """The key of row `at`."""
        return int(self._keys[at])

    def of_shards(self, shards: Iterable[int]) -> np.ndarray:
        """Rows of what lies in some shards, in the order stored."""
        shard, offset = self._columns[1:3]
        found = np.flatnonzero(np.isin(shard, np.array(sorted(shards), dtype=np.int64)))
        return found[np.lexsort((offset[found], shard[found]))]
