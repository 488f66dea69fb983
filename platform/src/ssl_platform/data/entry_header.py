"""The header of a prepared item's file: what it says, and whether the file is whole. Reading it needs no numpy."""

from __future__ import annotations

import json
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ssl_platform.errors import CacheError

MAGIC = b"SSLPREP1"
HEAD = struct.Struct("<8sII")


@dataclass(frozen=True)
class Header:
    """What the header of an entry says.

    Attributes:
        source: path the item came from.
        created: seconds since 1970.
        shape: `[C, *shape]`.
        dtype: numpy name.
        block: cells of a block along each spatial axis.
        valid: whether a validity mask follows the data.
        foreground: shape of the foreground cells, or None.
        start: where the data begins.
        length: bytes of the file.
        checksum: CRC-32 of everything from `start` on.
        about: spacing, channels, facts, geometry.
        codec: how blocks are compressed (`squeezed`), or empty.
    """

    source: str
    created: float
    shape: tuple[int, ...]
    dtype: str
    block: tuple[int, ...]
    valid: bool
    foreground: tuple[int, ...] | None
    start: int
    length: int
    checksum: int
    about: dict[str, Any]
    codec: str = ""


def read_header(path: Path) -> Header:
    """The header of an entry, checked against its own checksum and the length of the file.

    Raises:
        CacheError: it is damaged.
        FileNotFoundError: there is none.
    """
    with path.open("rb") as stream:
        return header_of(stream, path)


def header_of(stream: BinaryIO, path: Path, length: int | None = None) -> Header:
    """The header of the entry that begins where an open file stands, checked.

    Args:
        stream: the file.
        path: its name, for messages.
        length: bytes the entry has; None where it is the whole file.

    Raises:
        CacheError: it is damaged.
    """
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        raise CacheError(f"{path} is damaged: it ends within its header")
    magic, size, checksum = HEAD.unpack(head)
    if magic != MAGIC:
        raise CacheError(f"{path} is damaged: it does not begin like a prepared item")
    text = stream.read(size)
    if len(text) != size or zlib.crc32(text) != checksum:
        raise CacheError(f"{path} is damaged: its header does not match its checksum")
    values = json.loads(text)
    for name in ("shape", "block", "foreground"):
        values[name] = None if values[name] is None else tuple(values[name])
    header = Header(**values)
    found = os.fstat(stream.fileno()).st_size if length is None else length
    if found != header.length:
        raise CacheError(f"{path} is damaged: {found} bytes of {header.length}")
    return header


def check(path: Path) -> str | None:
    """Read an entry whole; return what is wrong with it, or None."""
    try:
        with path.open("rb") as stream:
            header, found = header_of(stream, path), 0
            stream.seek(header.start)
            while piece := stream.read(1 << 20):
                found = zlib.crc32(piece, found)
    except (CacheError, OSError) as error:
        return str(error)
    return None if found == header.checksum else f"{path} is damaged: its content does not match its checksum"
