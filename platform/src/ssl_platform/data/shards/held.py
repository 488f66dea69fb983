"""Reading from shards: mapped where they lie on a local disk, item by item into the cache where they lie elsewhere."""

from __future__ import annotations

import contextlib
import mmap
import os
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ssl_platform.data.entry import mapped
from ssl_platform.data.entry_header import header_of
from ssl_platform.data.files import replace_file
from ssl_platform.data.prepared import Prepared
from ssl_platform.data.shards.about import About
from ssl_platform.data.shards.place import Address, Folder, Place
from ssl_platform.data.shards.span import Index, Span, file_key, key_of, shard_name
from ssl_platform.errors import CacheError, Unreadable

_OPEN = 64
_PIECE = 1 << 20


@dataclass(frozen=True)
class Located:
    """Where the bytes of a source file are now.

    Attributes:
        file: local file.
        offset: first byte in it.
        length: bytes.
        whole: whether they are all of the file.
        key: of the source file.
        name: of the member of the shard.
    """

    file: Path
    offset: int
    length: int
    whole: bool
    key: int
    name: str


class Shards:
    """The content of prepared data.

    Of local shards a process maps those it reads (nothing is copied, all processes share the pages); from elsewhere an
    item is fetched whole, once, into the cache.

    Args:
        place: where the prepared data is.
        about: what it is.
        folder: of the cache.
    """

    def __init__(self, place: Place, about: About, folder: Path) -> None:
        self.place, self.about, self.folder = place, about, folder
        self._forget()

    def _forget(self) -> None:
        self._process = os.getpid()
        self._maps: OrderedDict[int, mmap.mmap] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("place", "about", "folder")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    @property
    def arrays(self) -> bool:
        """Whether items are stored as arrays, not as files."""
        return self.about.form == "arrays"

    @cached_property
    def index(self) -> Index:
        """Where everything lies."""
        return Index(local_copy(self.place, "index.parquet", self.folder))

    # ------------------------------------------------------------------------------------------------------- reading
    def entry(self, key: str) -> Prepared | None:
        """The array stored under a key of the cache, or None where there is none.

        Raises:
            Unreadable: it is damaged.
        """
        span = self.index.find(key_of(key))
        if span is None:
            return None
        located = self._located(span, key_of(key))
        try:
            with located.file.open("rb") as stream:
                stream.seek(located.offset)
                header = header_of(stream, located.file, located.length)
            return mapped(self._map(span.shard, located), header, located.offset)
        except FileNotFoundError:
            raise Unreadable(f"{located.file} is no longer there") from None
        except (CacheError, ValueError) as error:
            raise Unreadable(self._damaged(span, str(error))) from None

    def file(self, path: str) -> Located:
        """Where the content of a source file is now.

        Raises:
            Unreadable: it was not packed, or is damaged.
        """
        key = file_key(path)
        span = self.index.find(key)
        if span is None:
            raise Unreadable(f"{Path(path).name} is not among the prepared data in {self.place.name}")
        return self._located(span, key)

    def extracted(self, path: str) -> Path:
        """A copy of a source file in the cache, for readers that open nothing but files of their own.

        Raises:
            Unreadable: it was not packed, or is damaged.
        """
        located = self.file(path)
        if located.whole:
            return located.file
        copy = self.folder / "members" / f"{located.key:016x}-{located.length}{Path(located.name).suffix}"
        if not (copy.is_file() and copy.stat().st_size == located.length):
            with located.file.open("rb") as stream:
                stream.seek(located.offset)
                _copy(stream.read(located.length), copy)
        return copy

    def _located(self, span: Span, key: int) -> Located:
        if isinstance(self.place, Folder):
            file = self.place.path / shard_name(span.shard)
            return Located(file, span.offset, span.length, False, key, span.member)
        return Located(self._fetched(span, key), 0, span.length, True, key, span.member)

    def _fetched(self, span: Span, key: int) -> Path:
        """The bytes of a span as a file in the cache.

        Raises:
            Unreadable: they cannot be fetched, or are damaged.
        """
        copy = self.folder / "members" / f"{key:016x}-{span.checksum:08x}{Path(span.member).suffix}"
        if copy.is_file() and copy.stat().st_size == span.length:
            return copy
        assert isinstance(self.place, Address)
        try:
            content = self.place.piece(shard_name(span.shard), span.offset, span.length)
        except Exception as error:  # every kind of address raises its own
            raise Unreadable(f"{shard_name(span.shard)} of {self.place.name} cannot be read ({error})") from None
        if len(content) != span.length or zlib.crc32(content) != span.checksum:
            raise Unreadable(self._damaged(span, "its content does not match its checksum"))
        _copy(content, copy)
        return copy

    def _map(self, shard: int, located: Located) -> mmap.mmap:
        """The mapped file of a shard, or of a fetched item."""
        if self._process != os.getpid():
            self._forget()
        number = -1 - located.key if located.whole else shard
        memory = self._maps.get(number)
        if memory is None:
            with located.file.open("rb") as stream:
                memory = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            if hasattr(memory, "madvise"):
                memory.madvise(mmap.MADV_RANDOM)
            self._maps[number] = memory
        self._maps.move_to_end(number)
        while len(self._maps) > _OPEN:
            self._maps.popitem(last=False)
        return memory

    # -------------------------------------------------------------------------------------------------------- checking
    def _damaged(self, span: Span, why: str) -> str:
        return f"{shard_name(span.shard)} of {self.place.name} is damaged at {span.member}: {why}"

    def lost(self) -> dict[int, str]:
        """What is wrong with shards that are gone or have another size than they were written with, by number."""
        found = {}
        for number, shard in enumerate(self.about.shards):
            size, name = self.place.bytes(shard_name(number)), shard_name(number)
            if size is None:
                found[number] = f"{name} of {self.place.name} is gone"
            elif size != shard.bytes:
                found[number] = f"{name} of {self.place.name} is damaged: {size} bytes of {shard.bytes}"
        return found

    def damaged(self, whole: bool) -> dict[int, tuple[int, str]]:
        """What is damaged, by key: the item it was packed for, and what is wrong.

        Args:
            whole: compare the checksums of everything; else only shards that are gone or cut off are found.
        """
        lost, found = self.lost(), {}
        for at in self.index.of_shards(range(len(self.about.shards)) if whole else lost).tolist():
            span = self.index[at]
            why = lost.get(span.shard) or self._wrong(span)
            if why:
                found[self.index.key(at)] = (span.item, why)
        return found

    def _wrong(self, span: Span) -> str | None:
        checksum = 0
        try:
            if isinstance(self.place, Folder):
                with (self.place.path / shard_name(span.shard)).open("rb") as stream:
                    stream.seek(span.offset)
                    left = span.length
                    while left and (piece := stream.read(min(left, _PIECE))):
                        checksum, left = zlib.crc32(piece, checksum), left - len(piece)
            else:
                assert isinstance(self.place, Address)
                checksum = zlib.crc32(self.place.piece(shard_name(span.shard), span.offset, span.length))
        except OSError as error:
            return self._damaged(span, str(error))
        return None if checksum == span.checksum else self._damaged(span, "its content does not match its checksum")


def local_copy(place: Place, name: str, folder: Path) -> Path:
    """A small file of prepared data as a local one.

    Raises:
        Unreadable: it is not there.
    """
    if isinstance(place, Folder):
        return place.path / name
    content = place.read(name)
    if content is None:
        raise Unreadable(f"{name} of {place.name} is gone")
    copy = folder / "members" / f"{zlib.crc32(content):08x}-{len(content)}-{name}"
    if not copy.is_file():
        _copy(content, copy)
    return copy


def _copy(content: bytes, path: Path) -> None:
    """Write a file into the cache, readable by its owner only.

    Raises:
        CacheError: the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with replace_file(path) as draft:
            draft.write_bytes(content)
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise CacheError(f"the cache {path.parent} cannot be written ({error.strerror}): set cache.dir") from error
