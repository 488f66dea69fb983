"""Arrays in compressed blocks: pictures too large to be kept as they are, still read box by box and without loss.

    block, block, ...     each compressed alone: differences along the last axis, then Zstandard
    table                 int64 [blocks, 4]: where a block begins (from the array's start), its bytes, their CRC-32,
                          1 with a mask
    number of blocks      int64

A block holds all channels, then, where some of its cells are invalid, a byte a cell of validity.
"""

from __future__ import annotations

import itertools
import math
import mmap
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ssl_platform.data.blocks import Writer
from ssl_platform.data.stored import Box, StoredArray, StoredMask
from ssl_platform.errors import Unreadable

CODEC = "zstd-delta"
_LEVEL = 3
_BLOCK_BYTES = 1 << 18
_COLUMNS = 4


def squeezed_block(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Cells of a block along each spatial axis: about 256 KB, what a window of usual size needs few of.

    Args:
        shape: spatial sizes.
        itemsize: bytes of a cell, all channels together.
    """
    edge = max(16, int((_BLOCK_BYTES / itemsize) ** (1 / len(shape))) // 16 * 16)
    return tuple(max(1, min(edge, n)) for n in shape)


def write_squeezed(
    stream: Writer,
    shape: tuple[int, ...],
    block: tuple[int, ...],
    read: Callable[[Box], tuple[np.ndarray, np.ndarray | None]],
) -> bool:
    """Write an array `[C, *shape]`, asking for it a row of blocks at a time.

    Args:
        stream: written in order.
        shape: `[C, *shape]`.
        block: cells of a block.
        read: gives the values `[C, *sizes]` of a box and where they are valid (None: everywhere).

    Returns:
        Whether any cell is invalid.
    """
    codec, table, at = _codec(), [], 0
    sizes = shape[1:]
    for first in range(0, sizes[0], block[0]):
        last = min(first + block[0], sizes[0])
        data, valid = read(((first, last), *((0, n) for n in sizes[1:])))
        for place in itertools.product(*(range(0, n, b) for n, b in zip(sizes[1:], block[1:], strict=True))):
            cut = (slice(None), *(slice(a, a + b) for a, b in zip(place, block[1:], strict=True)))
            values = np.ascontiguousarray(data[(slice(None), *cut)])
            pieces = [_differences(values).tobytes()]
            known = None if valid is None else np.ascontiguousarray(valid[cut])
            masked = known is not None and not known.all()
            if masked and known is not None:
                pieces.append(known.astype(np.uint8).tobytes())
            packed = codec.compress(b"".join(pieces), asbytes=True)
            stream.write(packed)
            table.append((at, len(packed), zlib.crc32(packed), int(masked)))
            at += len(packed)
    stream.write(np.array(table, dtype="<i8").tobytes())
    stream.write(np.array([len(table)], dtype="<i8").tobytes())
    return any(masked for *_, masked in table)


@lru_cache(maxsize=1)
def _codec() -> Any:
    import pyarrow as pa

    return pa.Codec("zstd", _LEVEL)


def _differences(values: np.ndarray) -> np.ndarray:
    """Along the last axis, in wrapping arithmetic; values that are not whole numbers stay as they are."""
    if values.dtype.kind not in "iu":
        return values
    out = values.copy()
    np.subtract(values[..., 1:], values[..., :-1], out=out[..., 1:])
    return out


def _sums(values: np.ndarray) -> np.ndarray:
    """The inverse of `_differences`."""
    return np.cumsum(values, axis=-1, dtype=values.dtype) if values.dtype.kind in "iu" else values


class SqueezedBlocks:
    """The blocks of one array in a mapped file.

    Args:
        memory: the mapped file.
        offset: where the array begins, in bytes.
        shape: `[C, *shape]`.
        dtype: type of the values.
        block: cells of a block along each spatial axis.
        length: bytes of the array with its table.

    Raises:
        Unreadable: the table is damaged.
    """

    def __init__(
        self,
        memory: mmap.mmap,
        offset: int,
        shape: Sequence[int],
        dtype: np.dtype,
        block: Sequence[int],
        length: int,
    ) -> None:
        self.shape, self.dtype, self.block = tuple(shape), np.dtype(dtype), tuple(block)
        self._memory, self._offset = memory, offset
        self._counts = [-(-n // b) for n, b in zip(self.shape[1:], self.block, strict=True)]
        count = math.prod(self._counts)
        end = offset + length - 8
        if int(np.frombuffer(memory, "<i8", 1, end)[0]) != count:
            raise Unreadable("damaged: its table of blocks does not fit its shape")
        self._table = np.frombuffer(memory, "<i8", count * _COLUMNS, end - 8 * _COLUMNS * count).reshape(-1, _COLUMNS)

    def places(self, box: Box) -> Iterator[tuple[int, list[int], list[int]]]:
        """Number, first cell and sizes of the blocks that meet a box."""
        ranges = [range(a // e, -(-b // e)) for (a, b), e in zip(box, self.block, strict=True)]
        for place in itertools.product(*ranges):
            number = 0
            for at, count in zip(place, self._counts, strict=True):
                number = number * count + at
            start = [at * edge for at, edge in zip(place, self.block, strict=True)]
            yield number, start, [min(e, n - s) for e, n, s in zip(self.block, self.shape[1:], start, strict=True)]

    def block_at(self, number: int, sizes: Sequence[int]) -> tuple[np.ndarray, np.ndarray | None]:
        """One block: its values `[C, *sizes]` and validity (None: all valid).

        Raises:
            Unreadable: it is damaged.
        """
        start, length, checksum, masked = (int(n) for n in self._table[number])
        cells = math.prod(sizes)
        size = self.shape[0] * cells * self.dtype.itemsize
        first = self._offset + start
        packed = memoryview(self._memory)[first : first + length]
        if zlib.crc32(packed) != checksum:
            raise Unreadable("damaged: a block does not match its checksum")
        plain = _codec().decompress(packed, size + cells * masked, asbytes=True)
        values = np.frombuffer(plain, self.dtype, self.shape[0] * cells).reshape(self.shape[0], *sizes)
        valid = np.frombuffer(plain, np.uint8, cells, size).reshape(sizes).astype(bool) if masked else None
        return _sums(values), valid


class SqueezedArray(StoredArray):
    """`[C, *shape]` in compressed blocks.

    Args:
        blocks: where it is stored.
    """

    def __init__(self, blocks: SqueezedBlocks) -> None:
        self._blocks = blocks
        self.shape, self.dtype, self.block = blocks.shape, blocks.dtype, blocks.block

    def read(self, box: Box) -> np.ndarray:
        """Copy a box that lies inside: `(start, end)` along each axis gives `[C, *sizes]`."""
        out = np.empty((self.shape[0], *(b - a for a, b in box)), self.dtype)
        for number, start, sizes in self._blocks.places(box):
            source, target = _meet(box, start, sizes)
            out[(slice(None), *target)] = self._blocks.block_at(number, sizes)[0][(slice(None), *source)]
        return out


class SqueezedMask(StoredMask):
    """`[*shape]` bool, where the cells of a compressed array are valid.

    Args:
        blocks: where it is stored.
    """

    def __init__(self, blocks: SqueezedBlocks) -> None:
        self._blocks = blocks
        self.shape = blocks.shape[1:]

    def read(self, box: Box) -> np.ndarray:
        """Copy a box that lies inside: `(start, end)` along each axis gives `[*sizes]`."""
        out = np.ones([b - a for a, b in box], dtype=bool)
        for number, start, sizes in self._blocks.places(box):
            valid = self._blocks.block_at(number, sizes)[1]
            if valid is not None:
                source, target = _meet(box, start, sizes)
                out[target] = valid[source]
        return out


def _meet(box: Box, start: Sequence[int], sizes: Sequence[int]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where a block and a box meet, counted from the start of each."""
    spans = [(max(a, s), min(b, s + n)) for (a, b), s, n in zip(box, start, sizes, strict=True)]
    source = tuple(slice(a - s, b - s) for (a, b), s in zip(spans, start, strict=True))
    return source, tuple(slice(a - low, b - low) for (a, b), (low, _) in zip(spans, box, strict=True))
