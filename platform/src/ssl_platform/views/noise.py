"""Fields of random numbers that belong to a sample, however the batch is cut."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ssl_platform.draws import Draws

_BITS = 24
_MASK = (1 << _BITS) - 1
_UNIT = 2.0**-_BITS


def normal_field(draws: Draws, name: str, count: int) -> Tensor:
    """`[B, count]` float32 standard normal numbers.

    One 64-bit hash gives two of them (Box and Muller, 1958), which makes it about as fast as the library's own
    generator while every value stays a function of (seed, position, name, place).

    Args:
        draws: the samples' streams.
        name: of the field.
        count: numbers a sample.
    """
    bits = draws.bits(name, (count + 1) // 2)
    uniform = ((bits >> (64 - _BITS)) & _MASK).to(torch.float32).add_(0.5).mul_(_UNIT)  # in (0, 1)
    radius = uniform.log_().mul_(-2).sqrt_()
    angle = (bits & _MASK).to(torch.float32).mul_(2 * math.pi * _UNIT)
    out = torch.empty(len(bits), 2, bits.shape[1], device=bits.device)
    torch.mul(radius, torch.cos(angle), out=out[:, 0])
    torch.mul(radius, torch.sin(angle), out=out[:, 1])
    return out.flatten(1)[:, :count]
