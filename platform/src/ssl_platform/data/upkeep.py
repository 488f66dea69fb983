"""Looking after the cache: what is in it, whether it is whole, and making it smaller."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ssl_platform.data.entry_header import check, read_header
from ssl_platform.data.files import remove_leftovers
from ssl_platform.errors import CacheError

FETCHED = "members"
"""Folder of the cache for copies of what lies in shards elsewhere."""
_HOUR = 3600.0


def default_folder() -> Path:
    """`$SSL_PLATFORM_CACHE`, or `~/.cache/ssl-platform`."""
    return Path(os.environ.get("SSL_PLATFORM_CACHE") or Path.home() / ".cache" / "ssl-platform")


@dataclass(frozen=True)
class EntryFile:
    """A file of the cache.

    Attributes:
        path: where it is.
        bytes: its size.
        used: time of last use, seconds since 1970.
    """

    path: Path
    bytes: int
    used: float


@dataclass(frozen=True)
class CacheItem:
    """One prepared item.

    Attributes:
        path: file in the cache.
        source: what it was made from.
        bytes: size on disk.
        shape: `[C, *shape]`.
        dtype: numpy name.
        used: time of last use, seconds since 1970.
        damaged: what is wrong with it, or None.
    """

    path: Path
    source: str
    bytes: int
    shape: tuple[int, ...]
    dtype: str
    used: float
    damaged: str | None = None


def entry_files(folder: Path) -> Iterator[EntryFile]:
    """All prepared items in the cache folder, without opening them."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder / "prepared") as shelves:
        for shelf in sorted((s for s in shelves if s.is_dir()), key=lambda s: s.name):
            with contextlib.suppress(FileNotFoundError), os.scandir(shelf.path) as files:
                for file in files:
                    if file.name.endswith(".item"):
                        with contextlib.suppress(FileNotFoundError):
                            found = file.stat()
                            yield EntryFile(Path(file.path), found.st_size, found.st_mtime)


def fetched_files(folder: Path) -> Iterator[EntryFile]:
    """All copies of what lies in shards elsewhere."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder / FETCHED) as files:
        for file in files:
            with contextlib.suppress(FileNotFoundError):
                found = file.stat()
                if stat.S_ISREG(found.st_mode):
                    yield EntryFile(Path(file.path), found.st_size, found.st_mtime)


def folder_bytes(folder: Path) -> int:
    """Size of all that the cache folder holds besides sample sets."""
    return sum(file.bytes for file in (*entry_files(folder), *fetched_files(folder)))


def list_items(folder: Path) -> list[CacheItem]:
    """All prepared items and fetched copies, by source; damaged items say so."""
    items = []
    for file in entry_files(folder):
        try:
            header = read_header(file.path)
        except (CacheError, OSError) as error:
            items.append(CacheItem(file.path, "", file.bytes, (), "", file.used, str(error)))
        else:
            items.append(CacheItem(file.path, header.source, file.bytes, header.shape, header.dtype, file.used))
    items += [CacheItem(f.path, "(fetched from shards)", f.bytes, (), "", f.used) for f in fetched_files(folder)]
    return sorted(items, key=lambda item: (item.source, str(item.path)))


def verify(folder: Path) -> list[CacheItem]:
    """Read every item whole; the damaged ones, each with what is wrong. They are made again when next used."""
    damaged = []
    for item in list_items(folder):
        fetched = item.path.parent.name == FETCHED  # was checked when it came
        why = item.damaged or (None if fetched else check(item.path))
        if why:
            damaged.append(CacheItem(**{**vars(item), "damaged": why}))
    return damaged


def prune(folder: Path, source: str | None = None, max_gb: float | None = None) -> tuple[int, int]:
    """Remove items, and what killed processes left behind.

    Args:
        folder: of the cache.
        source: only items made from this file or from below this folder; with neither argument, all.
        max_gb: remove the least recently used until the rest takes no more than this.

    Returns:
        number of items removed, and their bytes.
    """
    remove_leftovers(folder, time.time() - _HOUR)
    items = list_items(folder)
    if source is not None:
        root = os.path.abspath(os.path.expanduser(source))  # noqa: PTH100, PTH111 - links stay unresolved, as in rows
        items = [item for item in items if item.source == root or item.source.startswith(root.rstrip(os.sep) + os.sep)]
    if max_gb is not None:
        items.sort(key=lambda item: item.used)
        excess = folder_bytes(folder) - max_gb * 1e9
        kept: list[CacheItem] = []
        for item in items:
            if excess <= 0:
                break
            kept.append(item)
            excess -= item.bytes
        items = kept
    for item in items:
        item.path.unlink(missing_ok=True)
    return len(items), sum(item.bytes for item in items)
