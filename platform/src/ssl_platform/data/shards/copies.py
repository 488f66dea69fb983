"""Copies in the cache of what lies in shards elsewhere."""

from __future__ import annotations

import contextlib
import os
import zlib
from pathlib import Path

from ssl_platform.data.files import replace_file
from ssl_platform.data.room import Room
from ssl_platform.data.shards.place import Folder, Place
from ssl_platform.data.upkeep import FETCHED
from ssl_platform.errors import CacheError, Unreadable


def local_copy(place: Place, name: str, folder: Path, room: Room) -> Path:
    """A small file of prepared data as a local one.

    Raises:
        Unreadable: it is not there.
    """
    if isinstance(place, Folder):
        return place.path / name
    content = place.read(name)
    if content is None:
        raise Unreadable(f"{name} of {place.name} is gone")
    copy = folder / FETCHED / f"{zlib.crc32(content):08x}-{len(content)}-{name}"
    if not used(copy, len(content)):
        write_copy(content, copy, room)
    return copy


def used(copy: Path, length: int) -> bool:
    """Whether a copy is there, whole; it is then the last to give way."""
    try:
        whole = copy.stat().st_size == length
        if whole:
            os.utime(copy)
        return whole
    except FileNotFoundError:
        return False
    except PermissionError:  # another user's cache may be read but not touched
        return True


def write_copy(content: bytes, path: Path, room: Room) -> None:
    """Write a file into the cache, readable by its owner only.

    Raises:
        CacheError: the disk or the cache is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    room.make(len(content))
    try:
        with replace_file(path) as draft:
            draft.write_bytes(content)
        room.add(len(content))
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise CacheError(f"the cache {path.parent} cannot be written ({error.strerror}): set cache.dir") from error
