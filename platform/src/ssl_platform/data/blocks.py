"""Arrays on disk in small blocks, so that a window costs little more than its own bytes.

In plain C order a 64^3 window of a 512^3 volume lies in 4096 places: read cold, the system's read-ahead fetches 12 MB
and more for its 0.5 MB, and without read-ahead every place is a read of its own. Cut into blocks of 32^3 it lies in at
most nine runs of blocks, asked for at once: 1.6 MB, four to five times faster cold; warm it costs 0.2 ms more
(`python -m benchmarks.windows --layout`). Blocks at the far edges are cut to the array, so nothing is padded. Small
arrays are one block: plain C order.
"""

from __future__ import annotations

import itertools
import math
import mmap
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from ssl_platform.data.stored import Box, StoredArray, StoredMask

SMALL_BYTES = 4 << 20
_EDGES = {1: 32768, 2: 192, 3: 32, 4: 16}

_WILL_NEED: int | None = getattr(mmap, "MADV_WILLNEED", None)  # absent on some systems: then nothing is asked for


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


class _Cut(NamedTuple):
    """What a box takes of the blocks at one place along an axis.

    Attributes:
        start: first cell of the block.
        length: cells of the block.
        source: cells taken, from the block's start.
        target: where they go, from the box's start.
    """

    start: int
    length: int
    source: slice
    target: slice


def _cuts(size: int, edge: int, low: int, high: int) -> list[_Cut]:
    """The blocks along one axis that meet `[low, high)`."""
    if high <= low:
        return []
    cuts = []
    for start in range(low // edge * edge, high, edge):
        end = min(start + edge, size)
        a, b = max(start, low), min(end, high)
        cuts.append(_Cut(start, end - start, slice(a - start, b - start), slice(a - low, b - low)))
    return cuts


def write_blocks(stream: Writer, data: np.ndarray, block: Sequence[int]) -> None:
    """Write `[C, *shape]` to `stream`, channel by channel, block by block."""
    shape = data.shape[1:]
    for channel in data:
        for place in itertools.product(*(_cuts(n, e, 0, n) for n, e in zip(shape, block, strict=True))):
            stream.write(np.ascontiguousarray(channel[tuple(cut.target for cut in place)]).data)


class BlockArray(StoredArray):
    """`[C, *shape]` stored in blocks in a mapped file.

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

    def __getitem__(self, key: Any) -> np.ndarray:
        """Slices along each axis (step 1) read only what they cover; anything else reads all first."""
        keys = key if isinstance(key, tuple) else (key,)
        if all(isinstance(k, slice) and k.step in (None, 1) for k in keys) and len(keys) <= self.ndim:
            keys = (*keys, *[slice(None)] * (self.ndim - len(keys)))
            spans = [k.indices(n)[:2] for k, n in zip(keys[1:], self.shape[1:], strict=True)]
            return self.read(tuple((a, max(a, b)) for a, b in spans))[keys[0]]
        return super().__getitem__(key)

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
        axes = [_cuts(n, e, a, b) for n, e, (a, b) in zip(shape, self.block, box, strict=True)]
        if not all(axes):
            return out
        behind = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
        for channel in range(self.shape[0]):
            first, target = channel * cells, out[channel]
            self._ask(first, axes, behind)
            for place in itertools.product(*axes):
                # all blocks of earlier slabs fill the slabs completely, so the cells stored before a block are, for
                # each axis, its start times the thickness of the slab so far times the full sizes of the axes behind
                start, thickness = first, 1
                for cut, size in zip(place, behind, strict=True):
                    start += thickness * cut.start * size
                    thickness *= cut.length
                stored = self._flat[start : start + thickness].reshape([cut.length for cut in place])
                target[tuple([cut.target for cut in place])] = stored[tuple([cut.source for cut in place])]
        return out

    def _ask(self, first: int, axes: Sequence[Sequence[_Cut]], behind: Sequence[int]) -> None:
        """Tell the system which runs of blocks come next, so that it fetches them together and nothing else."""
        if _WILL_NEED is None:
            return
        last = axes[-1]
        along = last[-1].start + last[-1].length - last[0].start
        for place in itertools.product(*axes[:-1]):
            before, thickness = first, 1
            for cut, size in zip(place, behind[:-1], strict=True):
                before += thickness * cut.start * size
                thickness *= cut.length
            before += thickness * last[0].start
            start = self._start + before * self.dtype.itemsize
            aligned = start - start % mmap.PAGESIZE
            self._memory.madvise(_WILL_NEED, aligned, start - aligned + thickness * along * self.dtype.itemsize)


class BlockMask(StoredMask):
    """`[*shape]` bool stored in blocks in a mapped file.

    Args:
        blocks: the mask as an array of one channel, `[1, *shape]` bool.
    """

    def __init__(self, blocks: BlockArray) -> None:
        self._blocks = blocks
        self.shape = blocks.shape[1:]

    def read(self, box: Box) -> np.ndarray:
        """Copy a box that lies inside: `(start, end)` along each axis gives `[*sizes]`."""
        return self._blocks.read(box)[0]
