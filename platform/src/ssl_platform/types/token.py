"""What a tokenizer makes of a view, a mask over it, and what a backbone gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Tokens:
    """A view cut into tokens, before positions are added.

    Attributes:
        values: `[B, N, V]` what the tokenizer's `embed_values` turns into `[B, N, D]` in `encode`: raw patches, so that
            tokens which stay hidden are never embedded, or embedded tokens already.
        coords: `[B, N, S]` centres in `[0, 1]` over the view.
        extent: `[B, S]` physical size of the view.
        grid: tokens along each axis (row-major order in N), or None for sets.
        valid: `[B, N]` bool, or None when all are valid.
        kind: `[B, N]` int64 band group, date, channel or object, or None.
        parent: `[B, N]` int64 index of the coarser token each belongs to, or None.
    """

    values: Tensor
    coords: Tensor
    extent: Tensor
    grid: tuple[int, ...] | None = None
    valid: Tensor | None = None
    kind: Tensor | None = None
    parent: Tensor | None = None

    @property
    def count(self) -> int:
        """Number of tokens N."""
        return int(self.values.shape[1])


@dataclass
class Mask:
    """A chosen set of tokens for each sample, with a static number K.

    Attributes:
        index: `[B, K]` or `[B, M, K]` int64 token positions.
        total: N, the number of tokens chosen from.
        valid: same shape as `index`, False for padding of short rows; None when all are real.
        grid: the token grid, or None for sets.
    """

    index: Tensor
    total: int
    valid: Tensor | None = None
    grid: tuple[int, ...] | None = None

    def dense(self) -> Tensor:
        """`[B, N]` (or `[B, M, N]`) bool, True where chosen."""
        from ssl_platform.masking.mask import dense

        return dense(self)

    def to(self, grid: tuple[int, ...]) -> Tensor:
        """The dense mask on a coarser or finer grid: `[B, prod(grid)]` bool (nearest cell)."""
        from ssl_platform.masking.mask import resize

        return resize(self, grid)

    def gather(self, values: Tensor) -> Tensor:
        """The chosen rows of `[B, N, ...]`: `[B, K, ...]` (or `[B, M, K, ...]`)."""
        from ssl_platform.masking.mask import gather

        return gather(self, values)


@dataclass
class Features:
    """What a backbone returns.

    Attributes:
        pooled: `[B, D]`.
        prefix: `[B, P, D]` class tokens, registers, prompts; P may be 0.
        tokens: `[B, N, D]` (only the visible ones, in the order of `visible.index`), or None for nets without tokens.
        coords: `[B, N, S]` of those tokens, or None.
        valid: `[B, N]` bool, or None.
        grid: token grid when all tokens are present, else None.
        pyramid: `[(map [B, D_i, *grid_i], stride)]` fine to coarse; empty when not offered.
        taps: outputs asked for by name.
    """

    pooled: Tensor
    prefix: Tensor
    tokens: Tensor | None = None
    coords: Tensor | None = None
    valid: Tensor | None = None
    grid: tuple[int, ...] | None = None
    pyramid: list[tuple[Tensor, int]] = field(default_factory=list)
    taps: dict[str, Tensor] = field(default_factory=dict)
