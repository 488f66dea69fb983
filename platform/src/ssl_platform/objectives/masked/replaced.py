"""Prediction at masked places of an encoder that sees all places, a learnt vector in place of what is masked."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.decoder import start_from_mean
from ssl_platform.types import Features, Mask, Tokens


class ReplacedPrediction(nn.Module):
    """A mask token and a linear head: the whole decoder of BEiT, SimMIM and MaskFeat.

    Args:
        embed_dim: width of the encoder's features.
        out_dim: numbers predicted for each token.
    """

    def __init__(self, embed_dim: int, out_dim: int) -> None:
        super().__init__()
        self.mask_token = nn.Parameter(torch.empty(embed_dim))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        self.head = nn.Linear(embed_dim, out_dim)
        start_from_mean(self.head)

    def forward(self, backbone: Backbone, tokens: Tokens, masked: Mask) -> tuple[Tensor, Features]:
        """`[B, K, out_dim]` predictions at the masked tokens, and the features of all."""
        features = backbone.encode(tokens, replaced=masked, mask_token=self.mask_token)
        assert features.tokens is not None
        return self.head(masked.gather(features.tokens)), features
