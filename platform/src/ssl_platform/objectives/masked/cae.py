"""CAE: regress the latents of masked tokens from the visible ones, and reconstruct from those latents alone.

The encoder's own latents of the masked tokens, without gradient, are what the regressed ones are held to, so masked
content has to lie in the encoder's own space. Departures from the published code: the target is the raw content by
default, as no discrete autoencoder comes with the platform (`target=codes` with `models.tokenizer=RUN` takes the codes
of any frozen tokenizer, see `beit`); regressor and decoder always have the encoder's width; blocks are exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.codes import token_cross_entropy
from ssl_platform.losses.masked import masked_error, masked_mean
from ssl_platform.masking.block import block_masks
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.frozen import Frozen
from ssl_platform.nn.latent_decoder import LatentRegressor
from ssl_platform.objectives.base import Export, Objective, ObjectiveConfig, objective
from ssl_platform.objectives.masked.beit import TOKENIZER
from ssl_platform.objectives.settings import (
    DecoderDepth,
    DecoderHeads,
    MaskRatio,
    Positive,
    PredictorDepth,
    Prototypes,
    Size,
    Weight,
)
from ssl_platform.plan import Plan
from ssl_platform.schedules import resolve_duration
from ssl_platform.targets.codes import TokenCodes
from ssl_platform.types import Loss, Mask, Step, Tokens, View, Views


class CAEConfig(ObjectiveConfig):
    """Settings of CAE."""

    target: Literal["pixels", "codes"] = Field("pixels", description="raw content, or a frozen tokenizer's codes")
    mask_ratio: MaskRatio = 0.5
    blocks: Size = Field(2, description="blocks the masked tokens form")
    block_aspect: tuple[Positive, Positive] = Field((0.3, 3.33), description="range of the ratio of a block's sides")
    predictor_depth: PredictorDepth = Field(4, description="blocks of the latent regressor")
    decoder_depth: DecoderDepth = 4
    decoder_heads: DecoderHeads = 12
    layer_scale: Positive = Field(0.1, description="start of the regressor's and decoder's layer scales")
    alignment: Weight = Field(2.0, description="weight of the regressed latents' distance to the encoder's own")
    prototypes: Prototypes = Field(8192, description="codes, where a tokenizer brings no codebook")
    codebook_time: str = Field("5%", description="how long such a codebook is learnt: steps, epochs or part of the run")
    codebook_decay: float = Field(0.99, ge=0, lt=1, description="of its moving average")


def _needs(c: CAEConfig) -> Plan:
    return Plan.single(offers=("tokens", "drop"), models=TOKENIZER if c.target == "codes" else ())


@objective(
    "cae",
    needs=_needs,
    paper="Chen, Ding, Wang et al.: Context Autoencoder for Self-Supervised Representation Learning, IJCV 2024, "
    "arXiv:2202.03026, eq. 1-3",
)
class CAE(Objective):
    """Predict masked tokens' latents in the encoder's own space, and their content from those."""

    Config = CAEConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make regressor and decoder, and the tokenizer's codes."""
        assert backbone.tokenizer is not None
        c, tokenizer = self.config, backbone.tokenizer
        width = tokenizer.target_dim
        self.codes: TokenCodes | None = None
        if c.target == "codes":
            frozen = models["tokenizer"]
            assert isinstance(frozen, Frozen)
            self.codes = TokenCodes(frozen, c.prototypes)
            width = self.codes.count
        self.regressor = LatentRegressor(
            backbone.embed_dim,
            width,
            c.predictor_depth,
            c.decoder_depth,
            c.decoder_heads,
            layer_scale=c.layer_scale,
            kinds=tokenizer.kinds,
            steps=backbone.steps,
        )

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Error of the decoded content, plus the alignment of the latents."""
        view, c = views[0], self.config
        tokens = backbone.tokenize(view)
        visible, masked = block_masks(tokens, c.mask_ratio, view.random, blocks=c.blocks, aspect=c.block_aspect)
        seen = backbone.encode(tokens, visible)
        places, kind, seen_kind = masked.gather(tokens.coords), None, None
        if tokens.kind is not None:
            kind, seen_kind = masked.gather(tokens.kind), visible.gather(tokens.kind)
        latents = self.regressor(seen, places, valid=masked.valid, context_kind=seen_kind, kind=kind)
        decoded = self.regressor.decode(latents, places, valid=masked.valid, kind=kind)

        with torch.no_grad():
            own = backbone.encode(backbone.tokenize(view), masked).tokens
            assert own is not None
        alignment = masked_error(latents, own, masked.valid, squared=True)
        error, watch = self.error(backbone, view, tokens, masked, decoded)
        reconstruction = masked_mean(error, masked.valid)
        terms = {"reconstruction": reconstruction, "alignment": alignment}
        return Loss(reconstruction + c.alignment * alignment, terms, {"embedding": seen.pooled, **watch})

    def error(
        self, backbone: Backbone, view: View, tokens: Tokens, masked: Mask, decoded: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """`[B, K]` error of the masked tokens' content, and what a codebook learns from."""
        if self.codes is not None:
            codes, points = self.codes(view, tokens)
            watch = {} if self.codes.codebook is None else {"points": points.flatten(0, -2)}
            return token_cross_entropy(decoded, masked.gather(codes)), watch
        assert backbone.tokenizer is not None
        valid = backbone.target_valid(view)
        target = masked.gather(backbone.targets(view))
        return backbone.tokenizer.loss(decoded, target, None if valid is None else masked.gather(valid)), {}

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Learn the codebook of a tokenizer that has none, at the start of the run."""
        c = self.config
        learning = step.step < max(1, resolve_duration(c.codebook_time, step.total, step.epoch_steps))
        if self.codes is not None and self.codes.codebook is not None and learning:
            self.codes.learn(torch.cat([w["points"] for w in watch]), c.codebook_decay)

    def export(self, backbone: Backbone) -> Export:
        """The encoder; regressor and decoder go along."""
        return Export(encoder=backbone, parts={"regressor": self.regressor})

    def trivial(self, batch: int) -> float:
        """`ln V` or the patches' own mean, with latents unrelated to the encoder's (both of unit variance)."""
        content = 1.0 if self.codes is None else math.log(self.codes.count)
        return float(content + 2 * self.config.alignment)
