"""Shards are plain tar files, equal for equal content, and what lies in them is found by its key."""

from __future__ import annotations

import hashlib
import tarfile
import zlib

from ssl_platform.data.shards.span import Index, Span, file_key, key_of, write_index
from ssl_platform.data.shards.tar import ShardFile


def shard(path, files):
    with ShardFile(path) as written:
        found = {name: written.add(name, file) for name, file in files.items()}
        room = sum(ShardFile.room(file.stat().st_size) for file in files.values())
        assert written.bytes == room
        return found, written.finish()


def test_any_tar_reads_it_and_bytes_lie_where_it_says(tmp_path):
    files = {}
    for number, length in enumerate((0, 1, 511, 512, 513, 70_000)):
        files[f"{number:08d}.0.item"] = tmp_path / str(number)
        files[f"{number:08d}.0.item"].write_bytes(bytes([number]) * length)
    found, sha256 = shard(tmp_path / "a.tar", files)
    content = (tmp_path / "a.tar").read_bytes()
    assert hashlib.sha256(content).hexdigest() == sha256
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert archive.getnames() == list(files)
        assert all(m.mtime == 0 and m.uid == 0 and not m.uname for m in archive.getmembers())
    for name, (offset, length, checksum) in found.items():
        stored = content[offset : offset + length]
        assert stored == files[name].read_bytes() and zlib.crc32(stored) == checksum
    assert shard(tmp_path / "b.tar", files)[1] == sha256


def test_the_index_finds_every_key_and_no_other(tmp_path):
    spans = [(file_key(f"/data/{i}"), Span(f"{i}.tif", i, i // 10, i * 512, 500 + i, i)) for i in range(100)]
    write_index(spans, tmp_path / "index.parquet")
    index = Index(tmp_path / "index.parquet")
    assert all(index.find(key) == span for key, span in spans)
    assert index.find(key_of("/data/1")) is None and index.find(2**64 - 1) is None
    rows = index.of_shards([3]).tolist()
    assert [index[at].item for at in rows] == list(range(30, 40))
    assert [index.key(at) for at in rows] == [file_key(f"/data/{i}") for i in range(30, 40)]
