"""Which item and slot stands at each position of an endless run, and the numbers that place its windows.

Everything is a hash of (seed, position), so any position is found at once without memory of those before it: a run
resumes anywhere, and neither batch size, ranks nor workers change the order. Numpy only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_ROUND_KEYS = np.arange(1, 7, dtype=np.uint64) * _GOLDEN  # six rounds
_PERIOD = 4096


def mix(x: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser (Steele, Lea, Flood, 2014) of uint64 values, elementwise."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


def key(*parts: int | str) -> int:
    """A stable 64-bit key of numbers and names, the same in every process and release."""
    text = "\0".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def hashed(key: int, values: np.ndarray) -> np.ndarray:
    """uint64 hash of each of `values` (integers) under `key`."""
    return mix(values.astype(np.uint64) * _GOLDEN + np.uint64(key))


def uniforms(key: int, values: np.ndarray, count: int) -> np.ndarray:
    """`[len(values), count]` float64 in `[0, 1)`: `count` independent numbers for each of `values` under `key`."""
    base = hashed(key, np.asarray(values))
    counter = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    bits = mix(base[:, None] + counter[None, :])
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permute(values: np.ndarray, n: int, key: np.ndarray | int) -> np.ndarray:
    """A keyed bijection of `range(n)`: a Feistel network with cycle walking (Black and Rogaway, 2002).

    Args:
        values: int64 in `[0, n)`.
        n: size of the set.
        key: one 64-bit key, or one for each value.

    Returns:
        int64 in `[0, n)`, distinct for distinct values under one key.
    """
    if n <= 1:
        return np.zeros_like(values)
    half = max(1, (int(n - 1).bit_length() + 1) // 2)
    shift, low = np.uint64(half), np.uint64((1 << half) - 1)
    keys = np.broadcast_to(np.asarray(key, dtype=np.uint64), values.shape)
    out = values.astype(np.uint64)
    walking = np.ones(out.shape, dtype=bool)
    while walking.any():
        left, right, here = out[walking] >> shift, out[walking] & low, keys[walking]
        for round_key in _ROUND_KEYS:
            left, right = right, left ^ (mix(right + here + round_key) & low)
        out[walking] = (left << shift) | right
        walking = out >= np.uint64(n)
    return out.astype(np.int64)


class Mixture:
    """Shares an endless sequence among components by weight, exactly, without memory.

    Weights are rounded to 1/4096. In every 4096 consecutive positions each component has its exact share, in an order
    shuffled anew, and the positions of one component number it `0, 1, 2, ...` without gaps.

    Args:
        weights: one positive number a component.
        seed: decides the order.
    """

    def __init__(self, weights: Sequence[float], seed: int) -> None:
        share = np.asarray(weights, dtype=np.float64)
        self.period = 1 if len(share) == 1 else max(_PERIOD, len(share))
        exact = share / share.sum() * self.period
        counts = np.maximum(np.floor(exact).astype(np.int64), 1)
        while counts.sum() < self.period:
            counts[np.argmax(exact - counts)] += 1
        while counts.sum() > self.period:
            counts[np.argmax(np.where(counts > 1, counts - exact, -np.inf))] -= 1
        self.counts = counts
        self._component = np.repeat(np.arange(len(counts)), counts)
        self._rank = np.concatenate([np.arange(count) for count in counts])
        self._key = key(seed, "mixture")

    def locate(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each position (int64): its component, and its number within that component."""
        block, offset = np.divmod(positions, self.period)
        place = permute(offset, self.period, hashed(self._key, block))
        component = self._component[place]
        return component, block * self.counts[component] + self._rank[place]


@dataclass(frozen=True)
class Places:
    """What stands at some positions: arrays of equal length.

    Attributes:
        row: row of the catalog.
        slot: window slot of the item, below `windows_per_item`.
        epoch: passes over the source completed before.
    """

    row: np.ndarray
    slot: np.ndarray
    epoch: np.ndarray


class Order:
    """The endless order of one bucket of rows.

    Every epoch visits each (row, slot) once, in an order of its own. With several sources, positions are shared by
    weight and each source has epochs of its own.

    Args:
        rows: catalog rows of the bucket, one array a source.
        weights: share of each source; ignored for a single one.
        windows_per_item: slots of each row.
        seed: decides the order.
        name: tells the orders of one seed apart.
    """

    def __init__(
        self, rows: Sequence[np.ndarray], weights: Sequence[float], windows_per_item: int, seed: int, name: str = ""
    ) -> None:
        self.rows = [np.asarray(r, dtype=np.int64) for r in rows]
        self.windows_per_item = windows_per_item
        self._mixture = Mixture(weights, seed)
        self._keys = [key(seed, "order", name, source) for source in range(len(self.rows))]

    def at(self, positions: np.ndarray) -> Places:
        """What stands at `positions` (int64, non-negative)."""
        source, number = self._mixture.locate(positions)
        row, slot, epoch = (np.empty(len(positions), dtype=np.int64) for _ in range(3))
        for s, rows in enumerate(self.rows):
            mine = source == s
            if not mine.any():
                continue
            n = len(rows) * self.windows_per_item
            epoch[mine], offset = np.divmod(number[mine], n)
            place = permute(offset, n, hashed(self._keys[s], epoch[mine]))
            row[mine], slot[mine] = rows[place // self.windows_per_item], place % self.windows_per_item
        return Places(row, slot, epoch)

    def anywhere(self, hashes: np.ndarray) -> Places:
        """A (row, slot) of the bucket for each uint64 hash, uniformly: replaces what could not be read."""
        rows = np.concatenate(self.rows)
        place = (hashes % np.uint64(len(rows) * self.windows_per_item)).astype(np.int64)
        return Places(
            rows[place // self.windows_per_item], place % self.windows_per_item, np.zeros(len(place), dtype=np.int64)
        )


def source_weights(wanted: Mapping[str, float], sizes: Mapping[str, int]) -> dict[str, float]:
    """Share of each source: as wanted, or by number of items where nothing is wanted.

    Args:
        wanted: weights by source; empty for shares by size.
        sizes: items of each source.

    Returns:
        weights summing to one, for the sources of `sizes`.

    Raises:
        ValueError: a weight is not positive.
    """
    if any(weight <= 0 for weight in wanted.values()):
        raise ValueError("weights must be positive")
    weights = {name: float(wanted.get(name, 0.0 if wanted else size)) for name, size in sizes.items()}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}
