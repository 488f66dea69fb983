"""CropMAE: reconstruct a crop of which almost nothing is seen, with another crop of the same sample as memory.

Departures from the published code: any rank and channel count through the tokenizer, targets are pixel-first whatever
the rank, and the masked mean divides by the global count. At least one token of the decoded view is visible.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field
from torch import nn

from ssl_platform.masking.random import random_masks
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.decoder import CrossDecoder
from ssl_platform.objectives.base import Export, Objective, ObjectiveConfig, objective
from ssl_platform.objectives.masked.visible import content_loss
from ssl_platform.objectives.settings import DecoderDepth, DecoderDim, DecoderHeads, MaskRatio, Range
from ssl_platform.plan import Plan, ViewSpec
from ssl_platform.types import Loss, Views


class CropMAEConfig(ObjectiveConfig):
    """Settings of CropMAE."""

    crops: Literal["global-to-local", "local-to-global", "random", "same"] = Field(
        "global-to-local", description="from which crop which one is decoded; same is a control"
    )
    global_scale: Range = Field((0.1, 1.0), description="share of the window that the global crop covers")
    local_scale: Range = Field((0.3, 0.6), description="share of the global crop that the local one covers")
    mask_ratio: MaskRatio = 0.985
    decoder_dim: DecoderDim = 256
    decoder_depth: DecoderDepth = 4
    decoder_heads: DecoderHeads = 8


def crops(config: CropMAEConfig) -> Plan:
    """The memory's view and the decoded one, in this order."""
    outer = ViewSpec("outer", scale=config.global_scale, photometric=False)
    inner = ViewSpec("inner", scale=config.local_scale, inside="outer", photometric=False)
    views = {
        "global-to-local": (outer, inner),
        "local-to-global": (inner, outer),
        "random": (outer, ViewSpec("inner", scale=config.global_scale, photometric=False)),
        "same": (outer, ViewSpec("inner", scale=config.global_scale, like="outer", photometric=False)),
    }
    return Plan(views=views[config.crops], offers=("tokens", "drop"))


@objective(
    "cropmae",
    needs=crops,
    paper="Eymael, Vandeghen, Cioppa, Giancola, Ghanem, Van Droogenbroeck: Efficient Image Pre-Training with Siamese "
    "Cropped Masked Autoencoders, ECCV 2024, arXiv:2403.17823",
)
class CropMAE(Objective):
    """Decode the masked tokens of one crop with all tokens of another crop as memory."""

    Config = CropMAEConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the decoder."""
        assert backbone.tokenizer is not None
        c, tokenizer = self.config, backbone.tokenizer
        self.decoder = CrossDecoder(
            backbone.embed_dim,
            tokenizer.target_dim,
            c.decoder_dim,
            c.decoder_depth,
            c.decoder_heads,
            kinds=tokenizer.kinds,
            steps=backbone.steps,
        )

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean error over the masked tokens of the decoded view."""
        shown, decoded = views
        all_shown = backbone.tokenize(shown)
        memory = backbone.encode(all_shown)
        tokens = backbone.tokenize(decoded)
        visible, masked = random_masks(tokens, self.config.mask_ratio, decoded.random)
        prediction = self.decoder(
            backbone.encode(tokens, visible),
            masked.gather(tokens.coords),
            memory=memory,
            valid=masked.valid,
            context_kind=None if tokens.kind is None else visible.gather(tokens.kind),
            kind=None if tokens.kind is None else masked.gather(tokens.kind),
            memory_kind=all_shown.kind,
        )
        return Loss(content_loss(backbone, decoded, prediction, masked), watch={"embedding": memory.pooled})

    def export(self, backbone: Backbone) -> Export:
        """The encoder; the decoder goes along."""
        return Export(encoder=backbone, parts={"decoder": self.decoder})

    def trivial(self, batch: int) -> float:
        """Predicting each patch's own mean leaves (nearly) unit variance."""
        return 1.0
