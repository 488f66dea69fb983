"""The order points are stored in, so that a range of them is a window.

Scenes follow a Hilbert curve: a range is a connected region (as the serialised neighbourhoods of Point Transformer V3:
Wu et al., 2024). Objects are shuffled: a range is spread evenly over the whole.
"""

from __future__ import annotations

import numpy as np

BITS = 16


def shuffled(count: int) -> np.ndarray:
    """`[count]` a random order, the same every time."""
    return np.random.default_rng(count).permutation(count)


def along_curve(xyz: np.ndarray, bits: int = BITS) -> np.ndarray:
    """`[N]` the order of points along a Hilbert curve through the cube around them.

    Args:
        xyz: `[N, 3]`.
        bits: the cube is cut into `2 ** bits` cells along each axis.
    """
    low = xyz.min(axis=0)
    side = max(float((xyz.max(axis=0) - low).max()), 1e-30)
    cells = ((xyz - low) * ((2**bits - 1) / side)).astype(np.uint32)
    return np.argsort(hilbert(cells, bits), kind="stable")


def hilbert(cells: np.ndarray, bits: int) -> np.ndarray:
    """`[N]` uint64 distance of cells along the Hilbert curve (Skilling, Programming the Hilbert curve, 2004).

    Args:
        cells: `[N, S]` unsigned integers below `2 ** bits`.
        bits: of each coordinate; `bits * S` is at most 64.
    """
    x = [axis.astype(np.uint32) for axis in cells.T]
    one = np.uint32(1)
    for level in range(bits - 1, 0, -1):
        bit = np.uint32(1 << level)
        below = np.uint32(bit - one)
        for i in range(len(x)):
            inverted = (x[i] & bit) != 0
            swap = np.where(inverted, np.uint32(0), (x[0] ^ x[i]) & below)
            x[0] = np.where(inverted, x[0] ^ below, x[0] ^ swap)
            x[i] = x[i] ^ swap if i else x[i]
    for i in range(1, len(x)):
        x[i] = x[i] ^ x[i - 1]
    turn = np.zeros_like(x[0])
    for level in range(bits - 1, 0, -1):
        bit = np.uint32(1 << level)
        turn = np.where((x[-1] & bit) != 0, turn ^ np.uint32(bit - one), turn)
    code = np.zeros(len(cells), dtype=np.uint64)
    for level in range(bits - 1, -1, -1):
        for axis in x:
            code = (code << np.uint64(1)) | (((axis ^ turn) >> np.uint32(level)) & one).astype(np.uint64)
    return code
