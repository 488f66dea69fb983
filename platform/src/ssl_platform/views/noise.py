"""Fields of random numbers that belong to a sample, however the batch is cut."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ssl_platform.draws import Draws

_UNIT = 2.0**-16


def normal_field(draws: Draws, name: str, count: int) -> Tensor:
    """`[B, count]` float32 standard normal numbers.

    One 64-bit hash gives four of them: two radii and two angles of 16 bits each (Box and Muller, 1958). That makes it
    as fast as the library's own generator while every value stays a function of (seed, position, name, place). The
    largest possible value is 4.9; use `Draws.normal` where tails matter.

    Args:
        draws: the samples' streams.
        name: of the field.
        count: numbers a sample.
    """
    hashes = (count + 3) // 4
    lanes = draws.bits(name, hashes).view(torch.int16)  # [B, 4 * hashes]
    radius = lanes[:, : 2 * hashes].to(torch.float32).add_(32768.5).mul_(_UNIT)  # in (0, 1)
    radius = radius.log_().mul_(-2).sqrt_()
    angle = lanes[:, 2 * hashes :].to(torch.float32).mul_(2 * math.pi * _UNIT)
    out = torch.empty(len(lanes), 2, 2 * hashes, device=lanes.device)
    torch.cos(angle, out=out[:, 0])
    torch.sin(angle, out=out[:, 1])
    return out.mul_(radius[:, None]).flatten(1)[:, :count]
