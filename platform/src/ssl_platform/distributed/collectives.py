"""Collectives exact under autograd; without a process group they do nothing.

The convention that every loss here keeps: each rank computes its own scalar from its share of the batch, and **the mean
over ranks of rank losses is the global-batch loss**. DDP averages gradients over ranks, so the gradient a rank must
hand to its own parameters is that of the *sum* of all ranks' losses. A tensor that leaves its rank is therefore
differentiated by summing, over ranks, the gradients that came back for it: `gather` and `all_sum` both do so.

What follows for authors of losses: a plain `.mean()` over equal shares is already right; a mean over a number of
elements that differs by rank goes through `global_mean`; whatever compares or averages over the batch first gathers.

Shares must have equal shapes on all ranks, and all ranks must call the same collectives in the same order.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable


def active() -> bool:
    """Whether more than one process takes part."""
    return world() > 1


def world() -> int:
    """Number of processes; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's number in `[0, world())`; 0 without a process group."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def offset(count: int) -> int:
    """First row of this rank's share in a gathered tensor, for shares of `count` rows."""
    return rank() * count


def share(x: Tensor) -> Tensor:
    """This rank's consecutive rows of a tensor that is equal on all ranks (sizes differ by one at most)."""
    return x.tensor_split(world())[rank()]


class _Gather(torch.autograd.Function):
    """Concatenation over ranks whose backward sums over ranks the gradient of this rank's rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.count = len(x)
        x = x.contiguous()
        parts = [torch.empty_like(x) for _ in range(world())]
        dist.all_gather(parts, x)
        return torch.cat(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        # An all-reduce and a slice rather than a reduce-scatter, which gloo lacks in the oldest torch we support.
        total = grad.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        start = offset(ctx.count)
        return total[start : start + ctx.count]


class _AllSum(torch.autograd.Function):
    """Sum over ranks whose backward sums the gradients over ranks."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _reduced(x, dist.ReduceOp.SUM)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _reduced(grad, dist.ReduceOp.SUM)


def _reduced(x: Tensor, operation: Any) -> Tensor:
    """A new tensor reduced over ranks."""
    total = x.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total, op=operation)
    return total


def gather(x: Tensor) -> Tensor:
    """Rows of all ranks, in rank order.

    Args:
        x: `[B, ...]` of any type, the same shape on all ranks.

    Returns:
        `[world * B, ...]`; the gradient of `x` is the sum over ranks of the gradients of its rows.

    Raises:
        ValueError: `x` has no rows to concatenate.
    """
    if x.ndim == 0:
        raise ValueError("gather needs a tensor with rows, got a scalar: use all_sum, or pass x[None]")
    if not active():
        return x
    if x.dtype is torch.bool:  # not every backend moves bool
        return gather(x.to(torch.uint8)).bool()
    gathered: Tensor = _Gather.apply(x)
    return gathered


def all_sum(x: Tensor) -> Tensor:
    """Sum over ranks, equal on all of them; its gradient is summed over ranks."""
    if not active():
        return x
    total: Tensor = _AllSum.apply(x)
    return total


def all_mean(x: Tensor) -> Tensor:
    """Mean over ranks, equal on all of them; its gradient is averaged over ranks."""
    return all_sum(x) / world()


def all_max(x: Tensor) -> Tensor:
    """Largest value over ranks, without gradient."""
    return _reduced(x, dist.ReduceOp.MAX) if active() else x.detach()


def broadcast(x: Tensor, source: int = 0) -> Tensor:
    """The value of rank `source` on all ranks, as a new tensor without gradient."""
    if not active():
        return x.detach()
    copy = x.detach().clone(memory_format=torch.contiguous_format)
    dist.broadcast(copy, src=source)
    return copy


def global_mean(total: Tensor, count: Tensor) -> Tensor:
    """The rank's share of a mean over all ranks' elements: `world * total / (sum over ranks of count)`.

    The mean over ranks of what is returned is (sum of totals) / (sum of counts), however unequal the counts are.

    Args:
        total: scalar, this rank's sum.
        count: scalar, how many elements (or how much weight) it sums; not differentiated.

    Returns:
        Scalar; 0 (with zero gradient) when the count is 0 on all ranks.
    """
    counted = all_sum(count.detach().to(total.dtype))
    return total * (world() / torch.where(counted > 0, counted, torch.ones_like(counted)))
