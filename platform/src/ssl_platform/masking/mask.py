"""What can be done with a mask: dense form, other grids, gathering, complement, replacing."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ssl_platform.types import Mask


class Split(NamedTuple):
    """Two disjoint masks of the same tokens.

    Attributes:
        visible: `[B, K]`, what the encoder sees.
        masked: `[B, N - K]`, what is predicted.
    """

    visible: Mask
    masked: Mask


def dense(mask: Mask) -> Tensor:
    """`[B, N]` (or `[B, M, N]`) bool, True where chosen; padding of short rows chooses nothing."""
    shape = (*mask.index.shape[:-1], mask.total + 1)
    chosen = torch.zeros(shape, dtype=torch.bool, device=mask.index.device)
    index = mask.index
    if mask.valid is not None:
        # Padding may repeat a real position, so it is sent to a column of its own that is cut off.
        index = torch.where(mask.valid, index, torch.full_like(index, mask.total))
    return chosen.scatter_(-1, index, True)[..., : mask.total]


def from_dense(chosen: Tensor, count: int, grid: tuple[int, ...] | None = None, exact: bool = False) -> Mask:
    """A mask from its dense form.

    Args:
        chosen: `[..., N]` bool.
        count: K, places in the result: at least the largest number chosen in a row.
        grid: the token grid, or None for sets.
        exact: whether every row is known to choose exactly K, so that nothing is padding.
    """
    index = (~chosen).to(torch.uint8).argsort(dim=-1, stable=True)[..., :count]
    valid = None if exact else chosen.gather(-1, index)
    return Mask(index, chosen.shape[-1], valid, grid)


def resize(mask: Mask, grid: tuple[int, ...]) -> Tensor:
    """The dense mask on another grid: `[B, prod(grid)]` (or `[B, M, prod(grid)]`) bool, from the nearest cell.

    Raises:
        ValueError: the mask is of a set, which has no grid.
    """
    if mask.grid is None:
        raise ValueError("this mask is of a set of tokens, it has no grid to resize from")
    chosen = dense(mask)
    rows = torch.zeros(1, dtype=torch.long, device=chosen.device)
    for old, new in zip(mask.grid, grid, strict=True):
        cell = ((torch.arange(new, device=chosen.device) * 2 + 1) * old).div(2 * new, rounding_mode="floor")
        rows = (rows[:, None] * old + cell[None, :]).flatten()
    return chosen[..., rows]


def gather(mask: Mask, values: Tensor) -> Tensor:
    """The chosen rows of `[B, N, ...]`: `[B, K, ...]` (or `[B, M, K, ...]`).

    Rows of padding hold values of some real token: use `mask.valid`.
    """
    b, n = values.shape[:2]
    start = torch.arange(b, device=mask.index.device) * n
    flat = (mask.index + start.view(b, *[1] * (mask.index.ndim - 1))).flatten()
    # Whole rows are copied, forward and backward, which is faster than an element-wise gather.
    return values.reshape(b * n, *values.shape[2:]).index_select(0, flat).view(*mask.index.shape, *values.shape[2:])


def complement(mask: Mask, valid: Tensor | None = None) -> Mask:
    """All tokens a `[B, K]` mask does not choose: `[B, N - K]`.

    Args:
        mask: the tokens to leave out.
        valid: `[B, N]` bool validity of the tokens: invalid ones come last and count as padding.
    """
    rest = ~dense(mask)
    left = mask.total - mask.index.shape[-1]
    if valid is not None:
        rest = rest & valid
    return from_dense(rest, left, mask.grid, exact=valid is None and mask.valid is None)


def replace(mask: Mask, values: Tensor, token: Tensor) -> Tensor:
    """`[B, N, D]` values with `token` (`[D]`) at the places a `[B, K]` mask chooses."""
    return torch.where(dense(mask)[..., None], token.to(values.dtype), values)
