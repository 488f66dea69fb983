"""Arrays on disk in small blocks, so that a window costs little more than its own bytes.

In plain C order a 64^3 window of a 512^3 volume lies in 4096 places; read cold it costs 23 MB with the system's
read-ahead, or 4096 separate page reads without. Cut into blocks of 32^3 it lies in at most nine runs of blocks, asked
for at once: 1.8 MB, five to six times faster cold and no slower warm (`benchmarks/windows.py --layout`). Blocks at the
far edges are cut to the array, so nothing is padded. Small arrays are one block: plain C order.
"""

from __future__ import annotations

import itertools
import math
import mmap
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

SMALL_BYTES = 4 << 20
_EDGES = {1: 32768, 2: 192, 3: 32, 4: 16}

_WILL_NEED: int | None = getattr(mmap, "MADV_WILLNEED", None)  # absent on some systems: then nothing is asked for

Box = tuple[tuple[int, int], ...]


class Writer(Protocol):
    """Anything bytes can be written to."""

    def write(self, piece: Any, /) -> int:
        """Write bytes; return how many."""
        ...


def block_shape(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Cells of a block along each axis of an array `[C, *shape]`'s spatial part.

    Args:
        shape: spatial sizes.
        itemsize: bytes of a value.
    """
    if math.prod(shape) * itemsize <= SMALL_BYTES:
        return tuple(max(n, 1) for n in shape)
    edge = _EDGES.get(len(shape), 8)
    return tuple(min(edge, n) for n in shape)


def _spans(size: int, edge: int, low: int = 0, high: int | None = None) -> Iterator[tuple[int, int]]:
    """`(start, end)` of the blocks along one axis that meet `[low, high)`."""
    for start in range(low // edge * edge, size if high is None else high, edge):
        yield start, min(start + edge, size)


def _offset(shape: Sequence[int], box: Sequence[tuple[int, int]]) -> int:
    """Cells stored before the block `box`: blocks follow in C order, those at the far edges are smaller.

    All blocks of earlier slabs fill the slabs completely, so the count along an axis is its start times the thickness
    of the slab so far times the full sizes of the axes behind.
    """
    cells, thickness = 0, 1
    for axis, (start, end) in enumerate(box):
        cells += thickness * start * math.prod(shape[axis + 1 :])
        thickness *= end - start
    return cells


def write_blocks(stream: Writer, data: np.ndarray, block: Sequence[int]) -> None:
    """Write `[C, *shape]` to `stream`, channel by channel, block by block."""
    shape = data.shape[1:]
    for channel in data:
        for box in itertools.product(*(_spans(n, e) for n, e in zip(shape, block, strict=True))):
            stream.write(np.ascontiguousarray(channel[tuple(slice(a, b) for a, b in box)]).data)


class BlockArray:
    """`[C, *shape]` stored in blocks in a mapped file. `np.asarray` gives all of it.

    Args:
        memory: the mapped file.
        offset: where the array begins, in bytes.
        shape: `[C, *shape]`.
        dtype: type of the values.
        block: cells of a block along each spatial axis.
    """

    def __init__(
        self, memory: mmap.mmap, offset: int, shape: Sequence[int], dtype: np.dtype, block: Sequence[int]
    ) -> None:
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.block = tuple(block)
        self._memory = memory
        self._start = offset
        self._flat = np.frombuffer(memory, self.dtype, math.prod(self.shape), offset)

    @property
    def ndim(self) -> int:
        """Number of axes, channels included."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self.read(tuple((0, n) for n in self.shape[1:]))
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __getitem__(self, key: Any) -> np.ndarray:
        """Slices along each axis (step 1) read only what they cover; anything else reads all first."""
        keys = key if isinstance(key, tuple) else (key,)
        if all(isinstance(k, slice) and k.step in (None, 1) for k in keys) and len(keys) <= self.ndim:
            keys = (*keys, *[slice(None)] * (self.ndim - len(keys)))
            spans = [k.indices(n)[:2] for k, n in zip(keys[1:], self.shape[1:], strict=True)]
            return self.read(tuple((a, max(a, b)) for a, b in spans))[keys[0]]
        result: np.ndarray = np.asarray(self)[key]
        return result

    def read(self, box: Box, out: np.ndarray | None = None) -> np.ndarray:
        """Copy a box that lies inside the array.

        Args:
            box: `(start, end)` along each spatial axis.
            out: `[C, *sizes]` to fill; made when None.

        Returns:
            `[C, *sizes]`.
        """
        if out is None:
            out = np.empty((self.shape[0], *(b - a for a, b in box)), self.dtype)
        shape = self.shape[1:]
        if self.block == shape:
            inner = tuple(slice(a, b) for a, b in box)
            np.copyto(out, self._flat.reshape(self.shape)[(slice(None), *inner)])
            return out
        cells = math.prod(shape)
        blocks = [list(_spans(n, e, a, b)) for n, e, (a, b) in zip(shape, self.block, box, strict=True)]
        if not all(blocks):
            return out
        for channel in range(self.shape[0]):
            self._ask(channel * cells, blocks)
            for place in itertools.product(*blocks):
                start = channel * cells + _offset(shape, place)
                sizes = [b - a for a, b in place]
                stored = self._flat[start : start + math.prod(sizes)].reshape(sizes)
                source, target = [], [slice(channel, channel + 1)]
                for (a, b), (low, high) in zip(place, box, strict=True):
                    source.append(slice(max(low - a, 0), min(high, b) - a))
                    target.append(slice(max(a - low, 0), min(high, b) - low))
                out[tuple(target)] = stored[tuple(source)]
        return out

    def _ask(self, before: int, blocks: Sequence[Sequence[tuple[int, int]]]) -> None:
        """Tell the system which runs of blocks come next, so that it fetches them together and nothing else."""
        if _WILL_NEED is None:
            return
        last = blocks[-1]
        for place in itertools.product(*blocks[:-1]):
            first = _offset(self.shape[1:], (*place, last[0]))
            cells = math.prod(b - a for a, b in place) * (last[-1][1] - last[0][0])
            start = self._start + (before + first) * self.dtype.itemsize
            aligned = start - start % mmap.PAGESIZE
            self._memory.madvise(_WILL_NEED, aligned, start - aligned + cells * self.dtype.itemsize)


class BlockMask:
    """`[*shape]` bool stored in blocks in a mapped file. `np.asarray` gives all of it.

    Args:
        blocks: the mask as an array of one channel, `[1, *shape]` bool.
    """

    def __init__(self, blocks: BlockArray) -> None:
        self._blocks = blocks
        self.shape = blocks.shape[1:]
        self.dtype = blocks.dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._blocks.__array__(dtype, copy)[0]

    def read(self, box: Box) -> np.ndarray:
        """Copy a box that lies inside: `(start, end)` along each axis gives `[*sizes]`."""
        return self._blocks.read(box)[0]
