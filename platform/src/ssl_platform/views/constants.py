"""Small constant tensors, made once for each device: copying from the host inside a step would make it wait."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=512)
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """`[len(values)]` float32 on `device`. Shared: never write to it."""
    return torch.tensor(values, dtype=torch.float32, device=device)


@lru_cache(maxsize=128)
def flags(values: tuple[bool, ...], device: torch.device) -> Tensor:
    """`[len(values)]` bool on `device`. Shared: never write to it."""
    return torch.tensor(values, dtype=torch.bool, device=device)


@lru_cache(maxsize=128)
def unit(row: int, column: int, size: int, device: torch.device) -> Tensor:
    """`[size, size]` float32, one at `(row, column)` and zero elsewhere. Shared: never write to it."""
    matrix = torch.zeros(size, size)
    matrix[row, column] = 1
    return matrix.to(device)


@lru_cache(maxsize=128)
def exchange(a: int, b: int, rank: int, device: torch.device) -> Tensor:
    """`[rank]` int64 order of axes with a and b exchanged. Shared: never write to it."""
    order = list(range(rank))
    order[a], order[b] = order[b], order[a]
    return torch.tensor(order, device=device)
