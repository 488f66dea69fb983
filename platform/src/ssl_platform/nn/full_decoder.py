"""A decoder that reads every token and speaks for every token: nothing is masked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssl_platform.nn.block import Block, key_mask
from ssl_platform.nn.decoder import start_from_mean
from ssl_platform.nn.positions import STEPS
from ssl_platform.nn.predictor import Placed
from ssl_platform.types import Features


class FullDecoder(Placed):
    """Blocks over all tokens (prefix tokens first) with their places, and a linear head.

    Args:
        embed_dim: width of the encoder's features.
        target_dim: numbers predicted for a token.
        dim: width inside.
        depth: blocks.
        heads: attention heads.
        kinds, steps: as in `Placed`.
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
        super().__init__(dim, kinds, steps)
        self.embed = nn.Linear(embed_dim, dim)
        self.blocks = nn.ModuleList([Block(dim, heads) for _ in range(depth)])
        self.head = nn.Linear(dim, target_dim)
        self.reset()
        start_from_mean(self.head)

    def forward(self, features: Features, kind: Tensor | None = None) -> Tensor:
        """`[B, N, target_dim]` of the features of all tokens, with their kinds `[B, N]`."""
        assert features.tokens is not None and features.coords is not None
        x = self.embed(features.tokens) + self.at(features.coords, kind)
        count = features.prefix.shape[1]
        x = torch.cat([self.embed(features.prefix), x], dim=1)
        mask = key_mask(features.valid, count)
        for block in self.blocks:
            x = block(x, mask)
        out: Tensor = self.head(self.norm(x[:, count:]))
        return out
