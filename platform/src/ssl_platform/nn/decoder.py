"""Decoders of masked prediction: from visible tokens to the content of the masked ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssl_platform.nn.block import CrossBlock, key_mask
from ssl_platform.nn.positions import STEPS
from ssl_platform.nn.predictor import Predictor, TokenPredictor, keys_of
from ssl_platform.types import Features


class MaskedDecoder(TokenPredictor):
    """MAE's decoder (He et al., 2022): narrow blocks over visible tokens and mask tokens, and a linear head.

    Attention does not care for order, so nothing is un-shuffled: every token carries its place, and only the masked
    places reach the head. With all masked places asked for, the sequence is the published one up to its order.

    Args:
        embed_dim: width of the encoder's features.
        target_dim: T, numbers in a token's content.
        dim: width inside.
        depth: blocks.
        heads: attention heads.
        kinds: kinds of token (channels) whose embedding mask tokens need to tell what to predict; 0 for none.
        steps: position steps across a view.
    """

    def __init__(
        self,
        embed_dim: int,
        target_dim: int,
        dim: int = 512,
        depth: int = 8,
        heads: int = 16,
        *,
        kinds: int = 0,
        steps: Sequence[float] | float = STEPS,
    ) -> None:
        super().__init__(embed_dim, dim, depth, heads, out_dim=target_dim, kinds=kinds, steps=steps)
        start_from_mean(self.head)


class CrossDecoder(Predictor):
    """Decodes a view with another view as memory (CropMAE: Eymael et al., 2024; SiamMAE: Gupta et al., 2023).

    Queries are the visible tokens of the decoded view and mask tokens at its masked places. Each block does
    cross-attention to the memory, MLP, self-attention, in this order. One projection serves both views.

    Args:
        embed_dim: width of the encoder's features.
        target_dim: T, numbers in a token's content.
        dim: width inside.
        depth: blocks.
        heads: attention heads.
        kinds: as in `MaskedDecoder`.
        steps: position steps across a view.
    """

    def __init__(
        self,
        embed_dim: int,
        target_dim: int,
        dim: int = 256,
        depth: int = 4,
        heads: int = 8,
        *,
        kinds: int = 0,
        steps: Sequence[float] | float = STEPS,
    ) -> None:
        super().__init__(embed_dim, dim, depth, heads, out_dim=target_dim, kinds=kinds, steps=steps)
        start_from_mean(self.head)

    def make_blocks(self, dim: int, depth: int, heads: int) -> None:
        """Cross-attention to the normalised memory, then self-attention."""
        self.memory_norm = nn.LayerNorm(dim, eps=1e-6)
        self.blocks = nn.ModuleList([CrossBlock(dim, heads) for _ in range(depth)])

    def forward(
        self,
        features: Features,
        coords: Tensor,
        *,
        memory: Features,
        valid: Tensor | None = None,
        context_kind: Tensor | None = None,
        kind: Tensor | None = None,
        memory_kind: Tensor | None = None,
    ) -> Tensor:
        """Predict the content at masked places.

        Args:
            features: of the visible tokens of the decoded view.
            coords: `[B, K, S]` masked places of that view.
            memory: features of the other view.
            valid: `[B, K]` bool, which places are real.
            context_kind: kinds of the visible tokens.
            kind: kinds of the masked places.
            memory_kind: kinds of the memory's tokens.

        Returns:
            `[B, K, T]`.
        """
        context = self.context(features, context_kind)
        x = torch.cat([context, self.queries(coords, kind)], dim=1)
        mask = keys_of(features, valid, coords)
        seen = self.memory_norm(self.context(memory, memory_kind))
        memory_mask = key_mask(memory.valid, memory.prefix.shape[1])
        for block in self.blocks:
            x = block(x, seen, mask, memory_mask)
        return self.out(x[:, context.shape[1] :])


def start_from_mean(head: nn.Linear) -> None:
    """Nearly zero weights: the first predictions are the mean content, so the first steps are not spent on noise."""
    nn.init.normal_(head.weight, std=1e-3)
