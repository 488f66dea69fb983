"""Decoders that predict latents at masked places by reading the visible ones.

Shapes: B batch, K masked places, L visible tokens (and prefix), D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_platform.nn.block import (
    LIKENESS,
    Attention,
    Block,
    CrossAttention,
    LayerScale,
    Mlp,
    check_heads,
    key_mask,
)
from ssl_platform.nn.decoder import start_from_mean
from ssl_platform.nn.positions import STEPS
from ssl_platform.nn.predictor import Placed, Predictor, keys_of
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


class PlacedAttention(nn.Module):
    """Attention of queries to a memory whose keys know their places while its values do not.

    Args:
        dim: D.
        heads: H, which divides D.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = check_heads(dim, heads)
        self.q, self.k, self.v = (nn.Linear(dim, dim) for _ in range(3))
        self.proj = nn.Linear(dim, dim)

    @torch.no_grad()
    def align(self) -> None:
        """Start with keys like queries."""
        self.k.weight.copy_(self.q.weight.mul_(LIKENESS))

    def forward(self, q_BKD: Tensor, k_BLD: Tensor, v_BLD: Tensor, mask: Tensor | None) -> Tensor:
        """`[B, K, D]` from queries, keys and values; `mask` broadcasts to `[B, H, K, L]`."""
        split = (self.heads, q_BKD.shape[-1] // self.heads)
        parts = ((self.q, q_BKD), (self.k, k_BLD), (self.v, v_BLD))
        q, k, v = (layer(x).unflatten(-1, split).transpose(1, 2) for layer, x in parts)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        projected: Tensor = self.proj(out.transpose(1, 2).flatten(2))
        return projected


class RegressorBlock(nn.Module):
    """CAE's block: masked latents read the visible ones and themselves, then a norm and an MLP with a residual.

    Args:
        dim: D.
        heads: H.
        layer_scale: start of both layer scales.
    """

    def __init__(self, dim: int, heads: int, layer_scale: float) -> None:
        super().__init__()
        self.norm_q, self.norm_k, self.norm_v, self.norm = (nn.LayerNorm(dim, eps=1e-6) for _ in range(4))
        self.attn = PlacedAttention(dim, heads)
        self.ls1, self.ls2 = LayerScale(dim, layer_scale), LayerScale(dim, layer_scale)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(
        self, x_BKD: Tensor, memory_BLD: Tensor, at_BKD: Tensor, memory_at_BLD: Tensor, mask: Tensor | None
    ) -> Tensor:
        """`[B, K, D]` latents after reading a memory; `at` are the places of both."""
        keys, values = self.norm_k(memory_BLD + memory_at_BLD), self.norm_v(memory_BLD)
        x_BKD = self.norm(x_BKD + self.ls1(self.attn(self.norm_q(x_BKD + at_BKD), keys, values, mask)))
        out: Tensor = x_BKD + self.ls2(self.mlp(x_BKD))
        return out


class LatentRegressor(Placed):
    """From visible latents to latents of masked places, and a decoder that sees only those (CAE: Chen et al., 2024).

    Both have the encoder's width.

    Args:
        dim: D of the encoder.
        out_dim: T of what is decoded.
        depth: blocks of the regressor.
        decoder_depth: blocks of the decoder.
        heads: attention heads.
        layer_scale: start of the layer scales.
        kinds, steps: as in `Placed`.
    """

    def __init__(
        self,
        dim: int,
        out_dim: int,
        depth: int,
        decoder_depth: int,
        heads: int,
        *,
        layer_scale: float = 0.1,
        kinds: int = 0,
        steps: Sequence[float] | float = STEPS,
    ) -> None:
        super().__init__(dim, kinds, steps)
        self.mask_token = nn.Parameter(torch.empty(dim))
        self.blocks = nn.ModuleList([RegressorBlock(dim, heads, layer_scale) for _ in range(depth)])
        self.decoder = nn.ModuleList([Block(dim, heads, layer_scale=layer_scale) for _ in range(decoder_depth)])
        self.out_norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, out_dim)
        self.reset()
        for block in self.blocks:
            assert isinstance(block, RegressorBlock)
            block.attn.align()
        start_from_mean(self.head)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(
        self,
        features: Features,
        coords: Tensor,
        *,
        valid: Tensor | None = None,
        context_kind: Tensor | None = None,
        kind: Tensor | None = None,
    ) -> Tensor:
        """`[B, K, D]` latents at places `[B, K, S]`; arguments as in `TokenPredictor`. Prefix tokens are not read."""
        assert features.tokens is not None and features.coords is not None
        at, seen_at = self.at(coords, kind), self.at(features.coords, context_kind)
        x = self.mask_token.expand(*coords.shape[:2], -1)
        both = replace(features, prefix=features.prefix[:, :0])
        mask = keys_of(both, valid, coords)
        for block in self.blocks:
            x = block(x, torch.cat([features.tokens, x], dim=1), at, torch.cat([seen_at, at], dim=1), mask)
        latents: Tensor = self.norm(x)
        return latents

    def decode(
        self, latents: Tensor, coords: Tensor, *, valid: Tensor | None = None, kind: Tensor | None = None
    ) -> Tensor:
        """`[B, K, T]` content of masked places from their latents alone."""
        x, mask = latents + self.at(coords, kind), key_mask(valid)
        for block in self.decoder:
            x = block(x, mask)
        made: Tensor = self.head(self.out_norm(x))
        return made
