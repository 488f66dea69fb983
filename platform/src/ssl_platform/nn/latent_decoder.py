"""Decoders that predict latents at masked places by reading the visible ones.

Shapes: B batch, K masked places, L visible tokens (and prefix), D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_platform.nn.block import LIKENESS, Attention, CrossAttention, Mlp, key_mask
from ssl_platform.nn.predictor import Predictor
from ssl_platform.types import Features


class ReadingBlock(nn.Module):
    """Pre-norm block of queries: self-attention, cross-attention to a memory, MLP.

    Args:
        dim: D.
        heads: H.
        mlp_ratio: width of the MLP over D.
    """

    def __init__(self, dim: int, heads: int, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.memory_norm = nn.LayerNorm(dim, eps=1e-6)
        self.cross = CrossAttention(dim, heads)
        self.norm3 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))

    def forward(self, x_BKD: Tensor, memory_BLD: Tensor, mask: Tensor | None, memory_mask: Tensor | None) -> Tensor:
        """`[B, K, D]` to `[B, K, D]`; masks as in `Attention`."""
        x_BKD = x_BKD + self.attn(self.norm1(x_BKD), mask)
        x_BKD = x_BKD + self.cross(self.norm2(x_BKD), self.memory_norm(memory_BLD), memory_mask)
        out: Tensor = x_BKD + self.mlp(self.norm3(x_BKD))
        return out


class NearMean(nn.Module):
    """What a masked place starts from: the mean of visible latents, weighted by how their places match.

    Args:
        dim: D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.q, self.k = nn.Linear(dim, dim), nn.Linear(dim, dim)

    @torch.no_grad()
    def align(self) -> None:
        """Start with keys like queries, so that near places weigh more."""
        self.k.weight.copy_(self.q.weight.mul_(LIKENESS))

    def forward(self, at_BKD: Tensor, seen_at_BLD: Tensor, seen_BLD: Tensor, mask: Tensor | None) -> Tensor:
        """`[B, K, D]` from places to fill, places seen and the latents there."""
        batch = seen_BLD.shape[0]
        q, k = self.q(at_BKD).expand(batch, -1, -1), self.k(seen_at_BLD).expand(batch, -1, -1)
        keys = None if mask is None else mask[:, 0]
        return F.scaled_dot_product_attention(q, k, seen_BLD, attn_mask=keys)


class LatentDecoder(Predictor):
    """LatentMIM's decoder (Wei et al., 2024): masked places start from near latents, then read all visible ones.

    Takes what `Predictor` takes.
    """

    def make_blocks(self, dim: int, depth: int, heads: int) -> None:
        """Blocks that read the visible tokens."""
        self.start = NearMean(dim)
        self.blocks = nn.ModuleList([ReadingBlock(dim, heads) for _ in range(depth)])

    def reset(self) -> None:
        """MAE's start, and keys of places like queries."""
        super().reset()
        self.start.align()

    def forward(
        self,
        features: Features,
        coords: Tensor,
        *,
        valid: Tensor | None = None,
        context_kind: Tensor | None = None,
        kind: Tensor | None = None,
    ) -> Tensor:
        """`[B, K, T]` predictions at places `[B, K, S]`; arguments as in `TokenPredictor`."""
        assert features.tokens is not None and features.coords is not None
        memory = self.context(features, context_kind)
        near = self.start(
            self.at(coords, kind),
            self.at(features.coords, context_kind),
            self.embed(features.tokens),
            key_mask(features.valid),
        )
        x = self.queries(coords, kind) + near
        mask, memory_mask = key_mask(valid), key_mask(features.valid, features.prefix.shape[1])
        for block in self.blocks:
            x = block(x, memory, mask, memory_mask)
        return self.out(x)
