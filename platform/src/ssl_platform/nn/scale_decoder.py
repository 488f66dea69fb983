"""A small decoder that predicts finer or coarser cells than tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.nn.decoder import MaskedDecoder
from ssl_platform.nn.positions import STEPS
from ssl_platform.nn.predictor import keys_of
from ssl_platform.types import Features, Mask


class ScaleDecoder(MaskedDecoder):
    """Blocks over visible and mask tokens, then a change of scale (LocalMIM: Wang et al., 2023, section 3.2).

    Finer cells come of transposed convolutions whose stride is their kernel: each token makes its own cells, a factor
    of two an axis and layer. Coarser cells are means over the tokens of a box, visible ones included.

    Args:
        embed_dim: width of the encoder's features.
        target_dim: numbers predicted for a cell.
        dim: width inside.
        depth: blocks.
        heads: attention heads.
        factor: cells of a token along each axis.
        kinds: as in `MaskedDecoder`.
        steps: position steps across a view.
    """

    def __init__(
        self,
        embed_dim: int,
        target_dim: int,
        dim: int = 256,
        depth: int = 1,
        heads: int = 8,
        *,
        factor: Sequence[int] = (),
        kinds: int = 0,
        steps: Sequence[float] | float = STEPS,
    ) -> None:
        super().__init__(embed_dim, target_dim, dim, depth, heads, kinds=kinds, steps=steps)
        self.levels = halvings(factor)
        self.grow = nn.ModuleList([nn.Linear(dim, math.prod(level) * dim) for level in self.levels])
        self.grow_norm = nn.ModuleList([nn.LayerNorm(dim, eps=1e-6) for _ in self.levels[1:]])

    def decode(
        self,
        features: Features,
        visible: Mask,
        masked: Mask,
        coords: Tensor,
        *,
        kind: Tensor | None = None,
        box: Tensor | None = None,
    ) -> Tensor:
        """Predict the cells of masked tokens.

        Args:
            features: of the visible tokens.
            visible, masked: `[B, K]` the two halves of the tokens.
            coords: `[B, N, S]` of all tokens.
            kind: `[B, N]` of all tokens, or None.
            box: `[N]` int64, the coarser cell each token lies in, or None.

        Returns:
            `[B, K, cells * target_dim]`, cells row-major; with `box` the one prediction of a token's coarser cell.
        """
        seen, hidden = (None if kind is None else mask.gather(kind) for mask in (visible, masked))
        places = masked.gather(coords)
        context = self.context(features, seen)
        x = torch.cat([context, self.queries(places, hidden)], dim=1)
        mask = keys_of(features, masked.valid, places)
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        if box is not None:
            return self.head(self._pooled(x[:, features.prefix.shape[1] :], visible, masked, features.valid, box))
        return self._cells(x[:, context.shape[1] :])

    def _pooled(self, x: Tensor, visible: Mask, masked: Mask, seen: Tensor | None, box: Tensor) -> Tensor:
        """`[B, K, D]` mean over the valid tokens of each masked token's box."""
        place = box[torch.cat([visible.index, masked.index], dim=1)]  # [B, N]
        weight = torch.ones_like(x[..., :1])
        if seen is not None or masked.valid is not None:
            parts = (visible.valid if seen is None else seen, visible.index), (masked.valid, masked.index)
            flags = [torch.ones_like(i, dtype=torch.bool) if v is None else v for v, i in parts]
            weight = torch.cat(flags, dim=1)[..., None].to(x.dtype)
        rows = place[..., None].expand_as(x)
        total = torch.zeros_like(x).scatter_add_(1, rows, x * weight)  # as many boxes as tokens at most
        count = torch.zeros_like(weight).scatter_add_(1, place[..., None], weight)
        mean = total / count.clamp_min(1)
        return mean.gather(1, rows[:, visible.index.shape[1] :])

    def _cells(self, x: Tensor) -> Tensor:
        """`[B, K, D]` to the predictions of each token's cells."""
        for number, (layer, level) in enumerate(zip(self.grow, self.levels, strict=True)):
            x = layer(x).unflatten(-1, (math.prod(level), -1))
            if number < len(self.grow_norm):
                x = F.gelu(self.grow_norm[number](x))
        x = self.head(x)  # [B, K, cells of level 1, cells of level 2, ..., T]
        if len(self.levels) > 1:
            x = row_major(x, self.levels)
        return x.flatten(2)


def halvings(factor: Sequence[int]) -> list[tuple[int, ...]]:
    """A factor an axis as a product of steps of two, with what does not halve at once."""
    levels, left = [], tuple(factor)
    while any(f > 1 for f in left):
        levels.append(tuple(2 if f % 2 == 0 else f for f in left))
        left = tuple(f // step for f, step in zip(left, levels[-1], strict=True))
    return levels


def row_major(x: Tensor, levels: Sequence[Sequence[int]]) -> Tensor:
    """Cells counted level by level, `[B, K, c1, c2, ..., T]`, as `[B, K, cells, T]` in row-major order."""
    rank, depth = len(levels[0]), len(levels)
    x = x.reshape(*x.shape[:2], *(n for level in levels for n in level), x.shape[-1])
    order = [2 + level * rank + axis for axis in range(rank) for level in range(depth)]
    return x.permute(0, 1, *order, x.ndim - 1).flatten(2, -2)
