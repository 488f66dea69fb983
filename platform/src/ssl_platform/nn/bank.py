"""Memories of past embeddings: a bank keyed by index and a first-in-first-out queue.

Both are buffers, updated identically on all ranks from the gathered rows of all of them.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_platform import distributed
from ssl_platform.errors import ConfigError


def _check_size(what: str, shape: tuple[int, ...], dtype: torch.dtype, limit_gb: float) -> None:
    """Refuse a memory above `limit_gb`, naming its size."""
    need = math.prod(shape) * dtype.itemsize / 1e9
    if need > limit_gb:
        size = " x ".join(f"{n:,}" for n in shape)
        raise ConfigError(
            f"a {what} of {size} {str(dtype).removeprefix('torch.')} needs {need:.1f} GB, above the limit of "
            f"{limit_gb:g} GB: use fewer items or windows, a smaller width, or a method without a {what}"
        )


def _random_units(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Random unit vectors, the same in every process."""
    return F.normalize(torch.randn(shape, generator=torch.Generator().manual_seed(0)), dim=-1).to(dtype)


class Bank(nn.Module):
    """One vector for each index.

    Args:
        size: number of indices n.
        dim: width D of a vector.
        limit_gb: refuse a larger bank (it lies on every device).
        dtype: of the stored vectors.
        random: start from random unit vectors, the same on every rank, which count as written; else from none.

    Raises:
        ConfigError: the bank would be larger than `limit_gb`; the message names its size.
    """

    rows: Tensor
    filled: Tensor

    def __init__(
        self, size: int, dim: int, limit_gb: float = 8.0, dtype: torch.dtype = torch.float32, random: bool = False
    ) -> None:
        super().__init__()
        _check_size("bank", (size, dim), dtype, limit_gb)
        rows = _random_units((size, dim), dtype) if random else torch.zeros(size, dim, dtype=dtype)
        self.register_buffer("rows", rows)
        self.register_buffer("filled", torch.full((size,), random))

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, index: Tensor) -> Tensor:
        """The vectors at `index`: `[...]` int64 to `[..., D]`; zeros where nothing was written yet."""
        return self.rows[index]

    def compare(self, queries: Tensor, index: Tensor) -> Tensor:
        """`[B, M]` dot products of queries `[B, D]` with the vectors at `index` `[B, M]`, no gradient to the bank."""
        rows = self.rows.to(queries.dtype)
        if index.shape[1] * rows.shape[1] < len(rows):  # fewer numbers than all products would be
            return torch.einsum("bd,bmd->bm", queries, rows[index])
        return (queries @ rows.T).gather(1, index)

    @torch.no_grad()
    def write(self, index: Tensor, values: Tensor, momentum: float = 0.0, unit: bool = True) -> None:
        """Store the rows of all ranks.

        Args:
            index: `[B]` int64. Where an index comes twice, the last row of the last rank counts.
            values: `[B, D]`.
            momentum: weight of what is stored already; a first write always takes the new value.
            unit: whether rows are scaled to unit length, before and after mixing.
        """
        index = distributed.gather(index)
        new = distributed.gather(values.detach().to(self.rows.dtype))
        # Rows of one index all get the last one's value, so that the order of the scattered writes cannot matter.
        ordered, order = index.sort(stable=True)
        last = torch.searchsorted(ordered, ordered, right=True) - 1
        new = new[order][last]
        if unit:
            new = F.normalize(new, dim=1)
        old, known = self.rows[ordered], self.filled[ordered]
        new = torch.where(known[:, None], torch.lerp(new, old, momentum), new)
        self.rows[ordered] = F.normalize(new, dim=1) if unit else new
        self.filled[ordered] = torch.ones_like(known)


class Queue(nn.Module):
    """The newest `length` rows, oldest first out.

    Starts with random unit vectors (as MoCo does), the same on every rank; `valid` tells which rows were pushed.

    Args:
        length: number of rows Q.
        dim: width D of a row, or its shape; `()` for one number a row.
        limit_gb: refuse a larger queue.
        dtype: of the rows; integers start at -1.

    Raises:
        ConfigError: the queue would be larger than `limit_gb`; the message names its size.
    """

    rows: Tensor
    pushed: Tensor

    def __init__(
        self, length: int, dim: int | tuple[int, ...], limit_gb: float = 8.0, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        shape = (length, dim) if isinstance(dim, int) else (length, *dim)
        _check_size("queue", shape, dtype, limit_gb)
        values = _random_units(shape, dtype) if dtype.is_floating_point else torch.full(shape, -1, dtype=dtype)
        self.register_buffer("rows", values)
        self.register_buffer("pushed", torch.zeros((), dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def valid(self) -> Tensor:
        """`[Q]` bool, which rows were pushed."""
        return torch.arange(len(self), device=self.rows.device) < self.pushed

    def content(self) -> Tensor:
        """`[Q, *dim]`, all rows, equal on all ranks, in no order of age."""
        return self.rows

    @torch.no_grad()
    def push(self, values: Tensor) -> None:
        """Put the rows of all ranks in rank order over the oldest ones.

        Args:
            values: `[B, *dim]`; where all ranks together bring more than `length`, the last ones stay.
        """
        new = distributed.gather(values.detach().to(self.rows.dtype))
        skipped = max(0, len(new) - len(self))
        place = self.pushed + torch.arange(skipped, len(new), device=self.rows.device)
        self.rows[place % len(self)] = new[skipped:]
        self.pushed += len(new)
