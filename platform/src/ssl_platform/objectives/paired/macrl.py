"""MaCRL: two unequally masked and augmented views are reconstructed, and the heavier one must find the lighter one.

No code was published. What the paper leaves open is set here as in MoCo v2 (temperature, queue, key encoder, projector)
and in MAE (decoder, high ratio); the encoder and decoder of both reconstructions are the student's, and targets are
normalised patch by patch. Point sets are reconstructed by the loss of their tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.contrastive import picked
from ssl_platform.masking.random import random_masks
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.validity import valid_mean
from ssl_platform.objectives.base import Export, objective
from ssl_platform.objectives.contrastive.moco_v2 import MoCoV2, MoCoV2Config, key_plan
from ssl_platform.objectives.masked.visible import decoder_of
from ssl_platform.objectives.paired.reconstruction import reconstruct
from ssl_platform.objectives.settings import DecoderDepth, DecoderDim, DecoderHeads, Weight
from ssl_platform.plan import Plan, ViewSpec
from ssl_platform.types import Loss, View, Views


class MaCRLConfig(MoCoV2Config):
    """Settings of MaCRL."""

    strong_ratio: float = Field(0.75, ge=0, lt=1, description="of the tokens of the query's view that is hidden")
    weak_ratio: float = Field(0.5, ge=0, lt=1, description="of the tokens of the key's view that is hidden")
    strong_photometric: bool = Field(True, description="whether the query's view has its intensities changed")
    weak_photometric: bool = Field(False, description="whether the key's view has its intensities changed")
    contrast: Weight = Field(1.0, description="weight of the contrast")
    reconstruction: Weight = Field(1.0, description="weight of the reconstruction of either view")
    decoder_dim: DecoderDim = 512
    decoder_depth: DecoderDepth = 2
    decoder_heads: DecoderHeads = 16


def unequal_views(config: MaCRLConfig) -> Plan:
    """The query's view, then the key's."""
    views = (
        ViewSpec("strong", photometric=config.strong_photometric),
        ViewSpec("weak", photometric=config.weak_photometric),
    )
    return key_plan(config).replace(views=views, offers=("tokens", "drop"))


@objective(
    "macrl",
    needs=unequal_views,
    paper="Yao, Desai, Palaniswami: Masked Contrastive Representation Learning, 2022, arXiv:2211.06012",
)
class MaCRL(MoCoV2):
    """Contrast a heavily masked view with a lightly masked one from a momentum encoder, and reconstruct both."""

    Config = MaCRLConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make projector, key encoder, queue and decoder."""
        super().build(backbone, models)
        assert backbone.tokenizer is not None
        c, content = self.config, backbone.tokenizer.target_dim
        self.decoder = decoder_of(backbone, content, c.decoder_dim, c.decoder_depth, c.decoder_heads)

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """InfoNCE of the two views, and the mean absolute error of both reconstructions."""
        c, (strong, weak) = self.config, views
        embedding, strong_error = self.branch(backbone, strong, c.strong_ratio)
        q = self.projector(embedding)
        with torch.no_grad():
            k = self.teacher.head("projector", visible_mean(self.teacher.backbone, weak, c.weak_ratio))
        logits, own = self.logits(q, k, strong)
        contrast = F.cross_entropy(logits, own)
        weak_error = self.branch(backbone, weak, c.weak_ratio)[1] if c.reconstruction else torch.zeros_like(contrast)
        loss = c.contrast * contrast + c.reconstruction * (strong_error + weak_error)
        terms = {"contrast": contrast, "strong": strong_error, "weak": weak_error, "accuracy": picked(logits, own)}
        return Loss(loss, terms, {"embedding": embedding, "keys": F.normalize(k, dim=1)})

    def branch(self, backbone: Backbone, view: View, ratio: float) -> tuple[Tensor, Tensor]:
        """`[B, D]` mean of the visible tokens and the error of the others, 0 where none is hidden."""
        if not ratio or not self.config.reconstruction:
            embedding = visible_mean(backbone, view, ratio)
            return embedding, embedding.new_zeros(())
        found = reconstruct(backbone, self.decoder, view, ratio)
        return found.embedding, found.absolute(backbone)

    def export(self, backbone: Backbone) -> Export:
        """The student's encoder; the decoder goes along for reconstructions."""
        return Export(encoder=backbone, parts={"decoder": self.decoder})

    def trivial(self, batch: int) -> float:
        """All keys alike, and each patch's own mean predicted (the mean size of a normal number is 0.8)."""
        c = self.config
        branches = (c.strong_ratio > 0) + (c.weak_ratio > 0)
        return float(c.contrast * super().trivial(batch) + c.reconstruction * branches * math.sqrt(2 / math.pi))


def visible_mean(backbone: Backbone, view: View, ratio: float) -> Tensor:
    """`[B, D]` mean of the tokens that masking at `ratio` leaves, of all at 0."""
    tokens = backbone.tokenize(view)
    visible = random_masks(tokens, ratio, view.random).visible if ratio else None
    features = backbone.encode(tokens, visible)
    assert features.tokens is not None
    return valid_mean(features.tokens, features.valid)
