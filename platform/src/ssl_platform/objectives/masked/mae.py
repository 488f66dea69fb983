"""MAE: encode a quarter of the tokens, decode the raw content of the others.

Departures from the published code: any rank and channel count through the tokenizer, targets are pixel-first whatever
the rank, invalid cells are neither targets nor counted, and the masked mean divides by the global count.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from ssl_platform.masking.random import random_masks
from ssl_platform.nn.backbone import Backbone
from ssl_platform.objectives.base import Export, Objective, ObjectiveConfig, objective
from ssl_platform.objectives.masked.visible import content_loss, decoded, decoder_of
from ssl_platform.objectives.settings import DecoderDepth, DecoderDim, DecoderHeads, MaskRatio
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, Views


@objective(
    "mae",
    needs=Plan.single(offers=("tokens", "drop")),
    paper="He, Chen, Xie, Li, Dollar, Girshick: Masked Autoencoders Are Scalable Vision Learners, CVPR 2022, "
    "arXiv:2111.06377",
)
class MAE(Objective):
    """Reconstruct the masked tokens' raw content from the visible ones."""

    class Config(ObjectiveConfig):
        """Settings of MAE."""

        mask_ratio: MaskRatio = 0.75
        decoder_dim: DecoderDim = 512
        decoder_depth: DecoderDepth = 8
        decoder_heads: DecoderHeads = 16

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the decoder."""
        assert backbone.tokenizer is not None
        c, width = self.config, backbone.tokenizer.target_dim
        self.decoder = decoder_of(backbone, width, c.decoder_dim, c.decoder_depth, c.decoder_heads)

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean error over the masked tokens."""
        view = views[0]
        tokens = backbone.tokenize(view)
        split = random_masks(tokens, self.config.mask_ratio, view.random)
        features = backbone.encode(tokens, split.visible)
        prediction = decoded(self.decoder, features, tokens, split)
        loss = content_loss(backbone, view, prediction, split.masked)
        return Loss(loss, watch={"embedding": features.pooled})

    def export(self, backbone: Backbone) -> Export:
        """The encoder; the decoder goes along for reconstructions."""
        return Export(encoder=backbone, parts={"decoder": self.decoder})

    def trivial(self, batch: int) -> float:
        """Predicting each patch's own mean leaves (nearly) unit variance."""
        return 1.0
