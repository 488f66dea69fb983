"""Hashes of content, and the cheap facts that tell whether a source changed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

_CHUNK = 1 << 20


def files_of(path: Path) -> Iterator[Path]:
    """The file itself, or all files below a folder, sorted."""
    if not path.is_dir():
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            yield Path(folder, name)


def fingerprint(path: Path | str) -> str:
    """Hash of the content of a file, or of all files of a folder with their names: 32 hexadecimal digits.

    Read in pieces, so memory stays bounded. BLAKE2b (RFC 7693) with a 16-byte digest.

    Raises:
        OSError: it cannot be read.
    """
    path, digest = Path(path), hashlib.blake2b(digest_size=16)
    folder = path.is_dir()
    for file in files_of(path):
        if folder:
            digest.update(f"\0{file.relative_to(path).as_posix()}\0".encode("utf-8", "surrogateescape"))
        with file.open("rb", buffering=0) as stream:
            while piece := stream.read(_CHUNK):
                digest.update(piece)
    return digest.hexdigest()


def state(path: Path | str) -> tuple[int, int]:
    """`(bytes, time of last change in ns)`: sums and latest over the files of a folder.

    A folder's own time counts too, so a file added, removed or renamed is seen.

    Raises:
        OSError: it does not exist or cannot be looked at.
    """
    found = os.stat(path)  # noqa: PTH116 - a Path method would cost as much again for each of many files
    if not stat.S_ISDIR(found.st_mode):
        return found.st_size, found.st_mtime_ns
    size, changed = 0, found.st_mtime_ns
    for file in files_of(Path(path)):
        inner = file.stat()
        size, changed = size + inner.st_size, max(changed, inner.st_mtime_ns)
    return size, changed
