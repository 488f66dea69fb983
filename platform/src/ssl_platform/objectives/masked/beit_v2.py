"""BEiT v2: predict a semantic tokenizer's codes, once from the tokens and once through the pooled embedding.

Early tokens and the final embedding of the whole view go through a small head that must predict the codes again, so the
embedding has to carry what the early tokens lack. Departures from the published code, besides those of `beit`: the
embedding is what the encoder pools (its class token, or the mean of tokens), after its final norm, and the head has a
norm of its own. The published tokenizer is a run of `vq-kd` with a semantic teacher.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import nn

from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.block import Block, init_transformer, key_mask
from ssl_platform.objectives.base import objective
from ssl_platform.objectives.masked.beit import TOKENIZER, BEiT, BEiTConfig
from ssl_platform.objectives.settings import DecoderDepth, DecoderHeads, Weight
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, Views


class BEiTv2Config(BEiTConfig):
    """Settings of BEiT v2."""

    early: float = Field(0.75, gt=0, le=1, description="share of the blocks before the early tokens (9 of 12)")
    decoder_depth: DecoderDepth = 2
    decoder_heads: DecoderHeads = 12
    bottleneck_weight: Weight = Field(1.0, description="of the prediction through the pooled embedding; 0 for BEiT's")


@objective(
    "beit-v2",
    needs=Plan.single(offers=("tokens", "mask_token", "taps"), models=TOKENIZER),
    paper="Peng, Dong, Bao, Ye, Wei: BEiT v2: Masked Image Modeling with Vector-Quantized Visual Tokenizers, 2022, "
    "arXiv:2208.06366, eq. 4-5",
)
class BEiTv2(BEiT):
    """Classify masked tokens into a tokenizer's codes, also from early tokens and the pooled embedding."""

    Config = BEiTv2Config

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make what BEiT has, and the head that reads early tokens and the embedding."""
        super().build(backbone, models)
        c, dim = self.config, backbone.embed_dim
        self.tap = f"block.{max(1, round(c.early * backbone.depth)) - 1}"
        if c.bottleneck_weight:
            self.blocks = nn.ModuleList([Block(dim, c.decoder_heads) for _ in range(c.decoder_depth)])
            self.norm = nn.LayerNorm(dim, eps=1e-6)
            self.blocks.apply(init_transformer)

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """The cross-entropy of the tokens plus that through the embedding; both share a classifier."""
        view, c = views[0], self.config
        tokens = backbone.tokenize(view)
        masked = self.masked(view, tokens)
        codes, points = self.codes(view, tokens)
        p = self.prediction
        features = backbone.encode(tokens, replaced=masked, mask_token=p.mask_token, taps=(self.tap,))
        assert features.tokens is not None
        loss, terms = self.classified(p.head(masked.gather(features.tokens)), masked, codes)
        if c.bottleneck_weight:
            early = features.taps[self.tap][:, features.prefix.shape[1] :]
            x = torch.cat([features.pooled[:, None], early], dim=1)
            mask = key_mask(tokens.valid, 1)
            for block in self.blocks:
                x = block(x, mask)
            through, _ = self.classified(p.head(masked.gather(self.norm(x[:, 1:]))), masked, codes)
            terms |= {"tokens": loss, "bottleneck": through}
            loss = loss + c.bottleneck_weight * through
        return Loss(loss, terms, {"embedding": features.pooled, **self.seen(points)})

    def trivial(self, batch: int) -> float:
        """`ln V` for each of the two predictions."""
        return (1 + self.config.bottleneck_weight) * math.log(self.codes.count)
