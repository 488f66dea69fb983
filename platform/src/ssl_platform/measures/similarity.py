"""Centred kernel alignment (CKA): how alike two encoders see items, whatever rotates or scales their spaces."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

FEWEST = 4
"""The unbiased estimator needs so many items."""


@torch.no_grad()
def linear_cka(x: Tensor, y: Tensor) -> Tensor:
    """Linear CKA (Kornblith et al., 2019, equation 4), biased upwards where dimensions are many and items few.

    Args:
        x: `[n, D1]` features.
        y: `[n, D2]` features of the same items.

    Returns:
        Scalar in `[0, 1]`; nan where one of them is constant.
    """
    x, y = (f.double() - f.double().mean(dim=0) for f in (x, y))
    cross: Tensor = (y.T @ x).square().sum()
    return cross / ((x.T @ x).norm() * (y.T @ y).norm())


@torch.no_grad()
def unbiased_cka(x: Tensor, y: Tensor) -> Tensor:
    """Linear CKA from unbiased estimates of HSIC (Song et al., 2012); may fall below 0 for independent features.

    Args:
        x: `[n, D1]` features, n of at least `FEWEST`.
        y: `[n, D2]` features of the same items.
    """
    return MinibatchCKA(1, 1, block=len(x)).add([x], [y]).value()[0, 0]


class MinibatchCKA:
    """CKA of every layer of one encoder with every layer of another, in memory that does not grow with the items.

    The unbiased estimates of HSIC of blocks of items are averaged (Nguyen et al., 2021, "Do Wide and Deep Networks
    Learn the Same Things?", equation 3), so the expectation of each term depends on neither block nor batch size. Rows
    are gathered into blocks, so nothing depends on how they arrive; a last block of fewer than `FEWEST` is left out.

    Args:
        first, second: numbers of layers.
        block: items of a block.
    """

    def __init__(self, first: int, second: int, block: int = 64) -> None:
        if block < FEWEST:
            raise ValueError(f"blocks of {block} items: unbiased CKA needs at least {FEWEST}")
        self.block, self.items = block, 0
        self._cross = torch.zeros(first, second, dtype=torch.float64)
        self._own = (torch.zeros(first, dtype=torch.float64), torch.zeros(second, dtype=torch.float64))
        self._waiting: tuple[list[Tensor], list[Tensor]] = ([], [])

    @torch.no_grad()
    def add(self, first: Sequence[Tensor], second: Sequence[Tensor]) -> MinibatchCKA:
        """Take `[B, D_l]` features of the same items, a tensor a layer of each encoder."""
        for waiting, new in zip(self._waiting, (first, second), strict=True):
            rows = [f.detach().double().cpu() for f in new]
            waiting[:] = [torch.cat(pair) for pair in zip(waiting, rows, strict=True)] if waiting else rows
        while len(self._waiting[0][0]) >= self.block:
            self._take(self.block)
        return self

    @torch.no_grad()
    def value(self) -> Tensor:
        """`[first, second]` CKA of all that was added, rows that wait included; nan where a layer is constant."""
        if self._waiting[0] and len(self._waiting[0][0]) >= FEWEST:
            self._take(len(self._waiting[0][0]))
        scale = (self._own[0].clamp_min(0)[:, None] * self._own[1].clamp_min(0)).sqrt()
        return torch.where(scale > 0, self._cross / scale, torch.nan)

    def _take(self, count: int) -> None:
        """Account for the first `count` waiting rows, each block weighted by its items."""
        grams = [torch.stack([_gram(f[:count]) for f in waiting]) for waiting in self._waiting]
        for waiting in self._waiting:
            waiting[:] = [f[count:] for f in waiting]
        self._cross += count * _hsic(*grams)
        for own, gram in zip(self._own, grams, strict=True):
            own += count * _hsic(gram, gram).diagonal()
        self.items += count


def _gram(x: Tensor) -> Tensor:
    """`[n, n]` similarities with a zero diagonal; the estimate does not see the mean, which costs precision."""
    x = x - x.mean(dim=0)
    return (x @ x.T).fill_diagonal_(0.0)


def _hsic(k: Tensor, m: Tensor) -> Tensor:
    """`[A, B]` unbiased HSIC of kernels `[A, n, n]` and `[B, n, n]` with zero diagonals (Song et al., 2012, eq. 5)."""
    n = k.shape[-1]
    k_rows, m_rows = k.sum(dim=-1), m.sum(dim=-1)
    trace = torch.einsum("aij,bij->ab", k, m)
    sums = k_rows.sum(dim=-1)[:, None] * m_rows.sum(dim=-1) / ((n - 1) * (n - 2))
    return (trace + sums - 2 / (n - 2) * k_rows @ m_rows.T) / (n * (n - 3))
