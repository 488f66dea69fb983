"""Reading from shards: mapped where they lie on a local disk, item by item into the cache where they lie elsewhere."""

from __future__ import annotations

import mmap
import os
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from ssl_platform.data.entry import mapped
from ssl_platform.data.entry_header import header_of
from ssl_platform.data.prepared import Prepared
from ssl_platform.data.room import Room
from ssl_platform.data.shards.about import About
from ssl_platform.data.shards.copies import local_copy, used, write_copy
from ssl_platform.data.shards.place import Address, Folder, Place
from ssl_platform.data.shards.span import Index, Span, file_key, key_of, shard_name
from ssl_platform.data.upkeep import FETCHED
from ssl_platform.errors import CacheError, Unreadable

_OPEN, _OPEN_MAPS, _OPEN_FETCHED = 1024, 64, 16
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
        room: keeps that folder within its bound, for fetched copies too.
    """

    def __init__(self, place: Place, about: About, folder: Path, room: Room) -> None:
        self.place, self.about, self.folder, self.room = place, about, folder, room
        self._forget()

    def _forget(self) -> None:
        self._process = os.getpid()
        self._maps: OrderedDict[int, mmap.mmap] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("place", "about", "folder", "room")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    @property
    def arrays(self) -> bool:
        """Whether items are stored as arrays, not as files."""
        return self.about.form == "arrays"

    @property
    def open_items(self) -> int:
        """Items kept mapped at once: the disk is not free of a fetched copy before it is closed."""
        return _OPEN if isinstance(self.place, Folder) else _OPEN_FETCHED

    @cached_property
    def index(self) -> Index:
        """Where everything lies."""
        return Index(local_copy(self.place, "index.parquet", self.folder, self.room))

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
        with self._opened(span, located) as stream:
            try:
                stream.seek(located.offset)
                header = header_of(stream, located.file, located.length)
                return mapped(self._map(span.shard, located, stream), header, located.offset)
            except (CacheError, ValueError) as error:
                raise Unreadable(self._damaged(span, str(error))) from None

    def _opened(self, span: Span, located: Located) -> BinaryIO:
        """The file of what was located; fetched again where another process has just let it give way.

        Raises:
            Unreadable: a shard is gone.
        """
        try:
            return located.file.open("rb")
        except FileNotFoundError:
            if not located.whole:
                raise Unreadable(f"{located.file} is no longer there") from None
            return self._fetched(span, located.key).open("rb")

    def file(self, path: str) -> Located:
        """Where the content of a source file is now.

        Raises:
            Unreadable: it was not packed, or is damaged.
        """
        return self._located(*self._packed(path))

    def _packed(self, path: str) -> tuple[Span, int]:
        """Where a source file was packed, and its key.

        Raises:
            Unreadable: it was not.
        """
        key = file_key(path)
        span = self.index.find(key)
        if span is None:
            raise Unreadable(f"{Path(path).name} is not among the prepared data in {self.place.name}")
        return span, key

    def has_file(self, path: str) -> bool:
        """Whether a source file was packed."""
        return self.index.find(file_key(path)) is not None

    def extracted(self, path: str) -> Path:
        """A copy of a source file in the cache, for readers that open nothing but files of their own.

        Raises:
            Unreadable: it was not packed, or is damaged.
        """
        span, key = self._packed(path)
        if isinstance(self.place, Address):
            return self._fetched(span, key)
        copy = self._copy_of(span, key)
        if not used(copy, span.length):
            located = self._located(span, key)
            with self._opened(span, located) as stream:
                stream.seek(located.offset)
                self._keep(stream.read(located.length), span, copy)
        return copy

    def _copy_of(self, span: Span, key: int) -> Path:
        """Where a copy of a span is kept: named by its content, so that other prepared data of the source differ."""
        return self.folder / FETCHED / f"{key:016x}-{span.checksum:08x}{Path(span.member).suffix}"

    def _keep(self, content: bytes, span: Span, copy: Path) -> None:
        """Write a copy, once it is known to be whole.

        Raises:
            Unreadable: it is damaged.
        """
        if len(content) != span.length or zlib.crc32(content) != span.checksum:
            raise Unreadable(self._damaged(span, "its content does not match its checksum"))
        write_copy(content, copy, self.room)

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
        copy = self._copy_of(span, key)
        if used(copy, span.length):
            return copy
        assert isinstance(self.place, Address)
        try:
            content = self.place.piece(shard_name(span.shard), span.offset, span.length)
        except Exception as error:  # every kind of address raises its own
            raise Unreadable(f"{shard_name(span.shard)} of {self.place.name} cannot be read ({error})") from None
        self._keep(content, span, copy)
        return copy

    def _map(self, shard: int, located: Located, stream: BinaryIO) -> mmap.mmap:
        """The mapped file of a shard, or of a fetched item."""
        if self._process != os.getpid():
            self._forget()
        number = -1 - located.key if located.whole else shard
        memory = self._maps.get(number)
        if memory is None:
            memory = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            if hasattr(memory, "madvise"):
                memory.madvise(mmap.MADV_RANDOM)
            self._maps[number] = memory
        self._maps.move_to_end(number)
        while len(self._maps) > min(_OPEN_MAPS, self.open_items):
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
