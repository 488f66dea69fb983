"""Random draws that belong to a sample, not to a process.

A draw is a hash of (seed, position in the run, name), computed on the device for a whole batch at once. It never
touches a global generator, so it does not depend on batch size, ranks, workers or restarts.
"""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB
_TO_UNIT = 2.0**-24


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift of a signed 64-bit tensor."""
    return (x >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    """SplitMix64's finaliser (Steele, Lea, Flood, 2014): a bijection of 64-bit integers."""
    x = _shift(x, 30).bitwise_xor_(x).mul_(_MIX_1)  # in place: fresh memory costs more than the arithmetic
    x = _shift(x, 27).bitwise_xor_(x).mul_(_MIX_2)
    return _shift(x, 31).bitwise_xor_(x)


def name_key(name: str) -> int:
    """A stable signed 64-bit key of a name (the same in every process and release)."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little", signed=True)


class Draws:
    """A stream of named draws for each sample of a batch.

    Args:
        keys: `[B]` int64, one key a sample.
    """

    def __init__(self, keys: Tensor) -> None:
        self.keys = keys

    @classmethod
    def at(cls, seed: int, positions: Tensor) -> Draws:
        """Draws of the samples at `positions` (`[B]` int64) of the run with `seed`."""
        return cls(_mix(positions * _GOLDEN + name_key(f"seed {seed}")))

    def __len__(self) -> int:
        return len(self.keys)

    def child(self, name: str) -> Draws:
        """An independent stream for the same samples."""
        return Draws(_mix(self.keys ^ name_key(name)))

    def select(self, rows: Tensor | slice) -> Draws:
        """The same draws for some of the samples."""
        return Draws(self.keys[rows])

    @staticmethod
    def cat(streams: list[Draws]) -> Draws:
        """The streams of several batches, one after the other."""
        return Draws(torch.cat([s.keys for s in streams]))

    def bits(self, name: str, *shape: int) -> Tensor:
        """`[B, *shape]` int64 with 64 independent bits each."""
        count = math.prod(shape)
        counter = torch.arange(1, count + 1, device=self.keys.device, dtype=torch.int64)
        base = _mix(self.keys ^ name_key(name))
        return _mix(base[:, None] + counter[None, :] * _GOLDEN).view(len(self.keys), *shape)

    def uniform(self, name: str, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """`[B, *shape]` float32, uniform in `[low, high)`."""
        unit = _shift(self.bits(name, *shape), 40).to(torch.float32) * _TO_UNIT
        return unit * (high - low) + low

    def normal(self, name: str, *shape: int) -> Tensor:
        """`[B, *shape]` float32, standard normal (Box-Muller)."""
        radius = torch.sqrt(-2.0 * torch.log1p(-self.uniform(f"{name}/radius", *shape)))
        return radius * torch.cos(2.0 * math.pi * self.uniform(f"{name}/angle", *shape))

    def chance(self, name: str, probability: float | Tensor, *shape: int) -> Tensor:
        """`[B, *shape]` bool, true with the given probability."""
        return self.uniform(name, *shape) < probability

    def integer(self, name: str, high: int, *shape: int) -> Tensor:
        """`[B, *shape]` int64 in `[0, high)`."""
        return (self.uniform(name, *shape) * high).long().clamp_(max=high - 1)

    def permutation(self, name: str, n: int) -> Tensor:
        """`[B, n]` int64, a random order of `range(n)` for each sample."""
        return self.bits(name, n).argsort(dim=1)
