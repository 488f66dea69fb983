"""A decoder that reads every token and speaks for every token: nothing is masked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssl_platform.nn.block import Block, init_transformer, key_mask
from ssl_platform.nn.decoder import start_from_mean
from ssl_platform.nn.positions import STEPS, places
from ssl_platform.types import Features


class FullDecoder(nn.Module):
    """Blocks over all tokens (prefix tokens first) with their places, and a linear head.

    Args:
        embed_dim: width of the encoder's features.
        target_dim: numbers predicted for a token.
        dim: width inside.
        depth: blocks.
        heads: attention heads.
        kinds: kinds of token (channels); 0 when they are all of one kind.
        steps: position steps across a view.
    """

    def __init__(
        self,
        embed_dim: int,
        target_dim: int,
        dim: int,
        depth: int,
        heads: int,
        *,
        kinds: int = 0,
        steps: Sequence[float] | float = STEPS,
    ) -> None:
        super().__init__()
        self.dim, self.steps = dim, steps
        self.embed = nn.Linear(embed_dim, dim)
        self.blocks = nn.ModuleList([Block(dim, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, target_dim)
        self.apply(init_transformer)
        start_from_mean(self.head)
        self.kind = nn.Embedding(kinds, dim) if kinds else None
        if self.kind is not None:
            nn.init.normal_(self.kind.weight, std=0.02)

    def forward(self, features: Features, kind: Tensor | None = None) -> Tensor:
        """`[B, N, target_dim]` of the features of all tokens, with their kinds `[B, N]`."""
        assert features.tokens is not None and features.coords is not None
        x = self.embed(features.tokens)
        x = x + places(features.coords, self.dim, self.steps).to(x.dtype)
        if kind is not None and self.kind is not None:
            x = x + self.kind(kind)
        count = features.prefix.shape[1]
        x = torch.cat([self.embed(features.prefix), x], dim=1)
        mask = key_mask(features.valid, count)
        for block in self.blocks:
            x = block(x, mask)
        out: Tensor = self.head(self.norm(x[:, count:]))
        return out
