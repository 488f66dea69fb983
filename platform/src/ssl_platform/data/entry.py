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
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ssl_platform.data.blocks import BlockArray, BlockMask, Writer, block_shape, write_blocks
from ssl_platform.data.entry_header import HEAD, MAGIC, Header, header_of
from ssl_platform.data.files import replace_file
from ssl_platform.data.prepared import Blocks, Mask, Prepared
from ssl_platform.data.squeezed import (
    CODEC,
    SqueezedArray,
    SqueezedBlocks,
    SqueezedMask,
    squeezed_block,
    write_squeezed,
)
from ssl_platform.data.stored import Box


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


def write_entry(path: Path, item: Prepared, source: str, created: float | None = None) -> int:
    """Write a settled item atomically, readable by its owner only.

    Args:
        path: of the entry.
        item: plain arrays, from `settle`.
        source: path it came from.
        created: seconds since 1970; now when None. A constant makes equal items equal bytes.

    Returns:
        bytes written.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    data = np.ascontiguousarray(item.data)
    block = block_shape(data.shape[1:], data.dtype.itemsize)

    def body(stream: Writer) -> bool:
        write_blocks(stream, data, block)
        if item.valid is not None:
            write_blocks(stream, np.asarray(item.valid).view(np.uint8)[None], block)
        if item.foreground is not None:
            stream.write(np.ascontiguousarray(item.foreground).data)
        return item.valid is not None

    cells = None if item.foreground is None else item.foreground.shape
    header = _header(item, data.shape, data.dtype, block, source, created)
    return _write(path, {**header, "foreground": cells}, body)


def write_squeezed_entry(
    path: Path,
    item: Prepared,
    shape: tuple[int, ...],
    dtype: np.dtype,
    read: Callable[[Box], tuple[np.ndarray, np.ndarray | None]],
    source: str,
) -> int:
    """Write an item that need not fit in memory, its blocks compressed without loss.

    Args:
        path: of the entry.
        item: spacing, channels, facts and geometry; its data are not looked at.
        shape: `[C, *shape]`.
        dtype: of the values.
        read: gives the values `[C, *sizes]` of a box and where they are valid (None: everywhere).
        source: path it came from.

    Returns:
        bytes written.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    block = squeezed_block(shape[1:], np.dtype(dtype).itemsize * shape[0])
    header = _header(item, shape, np.dtype(dtype), block, source, 0.0)
    return _write(path, {**header, "codec": CODEC}, lambda stream: write_squeezed(stream, shape, block, read))


def _header(
    item: Prepared,
    shape: tuple[int, ...],
    dtype: np.dtype,
    block: tuple[int, ...],
    source: str,
    created: float | None,
) -> dict[str, Any]:
    """What the header says before the arrays are written."""
    return {
        "source": source,
        "created": time.time() if created is None else created,
        "shape": shape,
        "dtype": dtype.name,
        "block": block,
        "valid": False,
        "foreground": None,
        "start": 0,
        "length": 0,
        "checksum": 0,
        "about": _plain(
            {"spacing": item.spacing, "channels": item.channels, "facts": item.facts, "geometry": item.geometry}
        ),
    }


def _write(path: Path, header: dict[str, Any], body: Callable[[Writer], bool]) -> int:
    """Write an entry: `body` writes its arrays and says whether a validity mask is among them."""
    # the numbers known last take at most 20 digits more than the zeros that stand for them
    start = -(-(HEAD.size + len(json.dumps(header)) + 60) // mmap.PAGESIZE) * mmap.PAGESIZE
    with replace_file(path) as temporary:
        temporary.touch(mode=0o600, exist_ok=False)
        with temporary.open("wb") as stream:
            stream.seek(start)
            summing = _Summing(stream)
            valid = body(summing)
            length = stream.tell()
            known = {"valid": valid, "start": start, "length": length, "checksum": summing.checksum}
            text = json.dumps({**header, **known}).encode()
            stream.seek(0)
            stream.write(HEAD.pack(MAGIC, len(text), zlib.crc32(text)) + text)
            stream.truncate(length)
    return length


def open_entry(path: Path) -> Prepared:
    """Map an entry: nothing of its arrays is read yet.

    Raises:
        CacheError: it is damaged.
        FileNotFoundError: there is none.
    """
    with path.open("rb") as stream:
        header = header_of(stream, path)
        memory = mmap.mmap(stream.fileno(), header.length, access=mmap.ACCESS_READ)
    small = header.block == header.shape[1:]
    if not small and hasattr(memory, "madvise"):
        memory.madvise(mmap.MADV_RANDOM)  # what a window needs is asked for run by run; no read-ahead beyond it
    return mapped(memory, header)


def mapped(memory: mmap.mmap, header: Header, at: int = 0) -> Prepared:
    """The item of an entry that lies in mapped memory.

    Args:
        memory: holds it.
        header: of the entry.
        at: where the entry begins.
    """
    if header.codec:
        length, dtype = header.length - header.start, np.dtype(header.dtype)
        stored = SqueezedBlocks(memory, at + header.start, header.shape, dtype, header.block, length)
        return _about(SqueezedArray(stored), SqueezedMask(stored) if header.valid else None, None, header)
    data = BlockArray(memory, at + header.start, header.shape, np.dtype(header.dtype), header.block)
    valid, offset = None, at + header.start + payload_bytes(header.shape, header.dtype)
    if header.valid:
        shape = (1, *header.shape[1:])
        valid = BlockMask(BlockArray(memory, offset, shape, np.dtype(bool), header.block))
        offset += math.prod(shape)
    foreground = None
    if header.foreground is not None:
        cells = memory[offset : offset + math.prod(header.foreground) * 4]
        foreground = np.frombuffer(cells, np.int32).reshape(header.foreground)
    return _about(data, valid, foreground, header)


def _about(data: Blocks, valid: Mask | None, foreground: np.ndarray | None, header: Header) -> Prepared:
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
