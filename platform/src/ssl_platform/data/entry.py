"""The file of one prepared item: a checked header, then its arrays.

    8 bytes magic · 4 bytes header length · 4 bytes CRC-32 of the header · header (JSON) · zeros to a page border
    data in blocks · valid in blocks · foreground

The header holds everything but the arrays, the length of the file and a checksum of all behind it. Opening checks
magic, header and length, which catches what a full disk or a killed process leaves; `check` reads everything.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import struct
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ssl_platform.data.blocks import BlockArray, BlockMask, block_shape, write_blocks
from ssl_platform.data.files import replace_file
from ssl_platform.data.prepared import Prepared
from ssl_platform.errors import CacheError

MAGIC = b"SSLPREP1"
_HEAD = struct.Struct("<8sII")


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


class _Summing:
    """A stream that knows the CRC-32 of what went through it."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.checksum = 0

    def write(self, piece: Any) -> int:
        self.checksum = zlib.crc32(piece, self.checksum)
        return self.stream.write(piece)


def payload_bytes(shape: tuple[int, ...], dtype: str, valid: bool = False) -> int:
    """Bytes of the arrays of an item of `[C, *shape]` on disk, without the foreground."""
    return math.prod(shape) * np.dtype(dtype).itemsize + (math.prod(shape[1:]) if valid else 0)


def write_entry(path: Path, item: Prepared, source: str) -> int:
    """Write a settled item atomically, readable by its owner only.

    Args:
        path: of the entry.
        item: plain arrays, from `settle`.
        source: path it came from.

    Returns:
        bytes written.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    data = np.ascontiguousarray(item.data)
    block = block_shape(data.shape[1:], data.dtype.itemsize)
    header: dict[str, Any] = {
        "source": source,
        "created": time.time(),
        "shape": data.shape,
        "dtype": data.dtype.name,
        "block": block,
        "valid": item.valid is not None,
        "foreground": None if item.foreground is None else item.foreground.shape,
        "start": 0,
        "length": 0,
        "checksum": 0,
        "about": _plain(
            {"spacing": item.spacing, "channels": item.channels, "facts": item.facts, "geometry": item.geometry}
        ),
    }
    # the numbers known last take at most 20 digits more than the zeros that stand for them
    start = -(-(_HEAD.size + len(json.dumps(header)) + 60) // mmap.PAGESIZE) * mmap.PAGESIZE
    with replace_file(path) as temporary:
        temporary.touch(mode=0o600, exist_ok=False)
        with temporary.open("wb") as stream:
            stream.seek(start)
            body = _Summing(stream)
            write_blocks(body, data, block)
            if item.valid is not None:
                write_blocks(body, np.asarray(item.valid).view(np.uint8)[None], block)
            if item.foreground is not None:
                body.write(np.ascontiguousarray(item.foreground).data)
            length = stream.tell()
            text = json.dumps({**header, "start": start, "length": length, "checksum": body.checksum}).encode()
            stream.seek(0)
            stream.write(_HEAD.pack(MAGIC, len(text), zlib.crc32(text)) + text)
            stream.truncate(length)
    return length


def read_header(path: Path) -> Header:
    """The header of an entry, checked against its own checksum and the length of the file.

    Raises:
        CacheError: it is damaged.
        FileNotFoundError: there is none.
    """
    with path.open("rb") as stream:
        return _header(stream, path)


def _header(stream: BinaryIO, path: Path) -> Header:
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise CacheError(f"{path} is damaged: it ends within its header")
    magic, length, checksum = _HEAD.unpack(head)
    if magic != MAGIC:
        raise CacheError(f"{path} is damaged: it does not begin like a prepared item")
    text = stream.read(length)
    if len(text) != length or zlib.crc32(text) != checksum:
        raise CacheError(f"{path} is damaged: its header does not match its checksum")
    values = json.loads(text)
    for name in ("shape", "block", "foreground"):
        values[name] = None if values[name] is None else tuple(values[name])
    header = Header(**values)
    found = os.fstat(stream.fileno()).st_size
    if found != header.length:
        raise CacheError(f"{path} is damaged: {found} bytes of {header.length}")
    return header


def open_entry(path: Path) -> Prepared:
    """Map an entry: nothing of its arrays is read yet.

    Raises:
        CacheError: it is damaged.
        FileNotFoundError: there is none.
    """
    with path.open("rb") as stream:
        header = _header(stream, path)
        memory = mmap.mmap(stream.fileno(), header.length, access=mmap.ACCESS_READ)
    small = header.block == header.shape[1:]
    if not small and hasattr(memory, "madvise"):
        memory.madvise(mmap.MADV_RANDOM)  # what a window needs is asked for run by run; no read-ahead beyond it
    data = BlockArray(memory, header.start, header.shape, np.dtype(header.dtype), header.block)
    valid, offset = None, header.start + payload_bytes(header.shape, header.dtype)
    if header.valid:
        shape = (1, *header.shape[1:])
        valid = BlockMask(BlockArray(memory, offset, shape, np.dtype(bool), header.block))
        offset += math.prod(shape)
    foreground = None
    if header.foreground is not None:
        cells = memory[offset : offset + math.prod(header.foreground) * 4]
        foreground = np.frombuffer(cells, np.int32).reshape(header.foreground)
    about = _arrays(header.about)
    return Prepared(
        data=data,
        spacing=tuple(about["spacing"]),
        channels=tuple(about["channels"]),
        valid=valid,
        foreground=foreground,
        facts=about["facts"],
        geometry=about["geometry"],
    )


def check(path: Path) -> str | None:
    """Read an entry whole; return what is wrong with it, or None."""
    try:
        with path.open("rb") as stream:
            header, found = _header(stream, path), 0
            stream.seek(header.start)
            while piece := stream.read(1 << 20):
                found = zlib.crc32(piece, found)
    except (CacheError, OSError) as error:
        return str(error)
    return None if found == header.checksum else f"{path} is damaged: its content does not match its checksum"


def _plain(value: Any) -> Any:
    """Data JSON can hold; numpy arrays keep their type."""
    if isinstance(value, np.ndarray):
        return {"$array": value.tolist(), "dtype": value.dtype.name}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _arrays(value: Any) -> Any:
    """The inverse of `_plain`, but for tuples, which come back as lists."""
    if isinstance(value, dict):
        if set(value) == {"$array", "dtype"}:
            return np.array(value["$array"], dtype=value["dtype"])
        return {k: _arrays(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_arrays(v) for v in value]
    return value
