"""Writing a shard: an uncompressed tar file without times, owners and paths, so that equal items give equal bytes."""

from __future__ import annotations

import hashlib
import os
import tarfile
import zlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

_BLOCK = tarfile.BLOCKSIZE
_PIECE = 1 << 20


class ShardFile:
    """A shard while it is written.

    Args:
        path: a draft; it takes its name when it is whole.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.bytes = path, 0
        self._sum = hashlib.sha256()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream: BinaryIO = path.open("wb")

    def __enter__(self) -> ShardFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stream.close()

    @staticmethod
    def room(length: int) -> int:
        """Bytes a member of `length` bytes takes."""
        return _BLOCK - (-length // _BLOCK) * _BLOCK

    def add(self, name: str, source: Path) -> tuple[int, int, int]:
        """Append a file.

        Returns:
            First byte, bytes and CRC-32 of its content.

        Raises:
            OSError: the disk is full.
        """
        length = source.stat().st_size
        info = tarfile.TarInfo(name)
        info.size, info.mode = length, 0o644
        self._write(info.tobuf(tarfile.GNU_FORMAT))
        offset, checksum = self.bytes, 0
        with source.open("rb") as stream:
            while piece := stream.read(_PIECE):
                checksum = zlib.crc32(piece, checksum)
                self._write(piece)
        self._write(bytes(-length % _BLOCK))
        return offset, length, checksum

    def _write(self, piece: bytes) -> None:
        self._stream.write(piece)
        self._sum.update(piece)
        self.bytes += len(piece)

    def finish(self) -> str:
        """Write the end of the archive, and all of it to disk; return its SHA-256."""
        self._write(bytes(2 * _BLOCK))
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        return self._sum.hexdigest()
