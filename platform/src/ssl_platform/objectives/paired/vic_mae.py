"""ViC-MAE: a masked autoencoder on each of two views, and a contrast of what their visible tokens have in common.

Departures from the published code: contrast and reconstruction are exact over processes, and targets are pixel-first.
Images and videos in one batch are a matter of the data (`data.sources`); `reads=time` takes two clips of an item.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from pydantic import Field
from torch import nn

from ssl_platform.losses.contrastive import nt_xent
from ssl_platform.losses.masked import masked_mean
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Export, Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import mean_of
from ssl_platform.objectives.masked.visible import decoder_of
from ssl_platform.objectives.paired.reconstruction import reconstruct
from ssl_platform.objectives.settings import DecoderDepth, DecoderDim, DecoderHeads, MaskRatio, Temperature, Widths
from ssl_platform.plan import Plan, Reads, ViewSpec
from ssl_platform.types import Loss, View, Views


class ViCMAEConfig(ObjectiveConfig):
    """Settings of ViC-MAE."""

    reads: Literal["same", "time"] = Field(
        "same", description="two augmentations of one window, or of two windows some time apart"
    )
    mask_ratio: MaskRatio = 0.5
    contrast: float = Field(0.03, ge=0, le=1, description="weight of the contrast; reconstruction has the rest")
    temperature: Temperature = 0.1
    proj_dims: Widths = (4096, 4096, 128)
    negatives: Literal["all", "other-groups"] = Field(
        "all", description="which samples repel: all others, or only those of other groups (patients, scenes)"
    )
    decoder_dim: DecoderDim = 512
    decoder_depth: DecoderDepth = 8
    decoder_heads: DecoderHeads = 16


def two_views(config: ViCMAEConfig) -> Plan:
    """Two augmented views of one window, or one of each of two windows."""
    needs = Plan.augmented(2, offers=("tokens", "drop"), groups=True, batch_coupled=True, min_batch=2)
    if config.reads == "same":
        return needs
    return needs.replace(reads=Reads(2, "time"), views=(ViewSpec(read=0), ViewSpec(read=1)))


@objective(
    "vic-mae",
    needs=two_views,
    paper="Hernandez, Villegas, Ordonez: ViC-MAE: Self-Supervised Representation Learning from Images and Video with "
    "Contrastive Masked Autoencoders, ECCV 2024, arXiv:2303.12001",
)
class ViCMAE(Objective):
    """Reconstruct two masked views, and contrast the means of their visible tokens with all other samples."""

    Config = ViCMAEConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make decoder and projector."""
        assert backbone.tokenizer is not None
        c, content = self.config, backbone.tokenizer.target_dim
        self.decoder = decoder_of(backbone, content, c.decoder_dim, c.decoder_depth, c.decoder_heads)
        self.projector = mlp(backbone.embed_dim, *c.proj_dims, norm="batch")

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Weighted sum of the mean reconstruction error of both views and their NT-Xent."""
        c = self.config
        found = reconstruct(backbone, self.decoder, View.cat(views), c.mask_ratio)
        errors = found.error(backbone).chunk(2)
        real = (None, None) if found.masked.valid is None else found.masked.valid.chunk(2)
        reconstruction = mean_of([masked_mean(error, valid) for error, valid in zip(errors, real, strict=True)])
        embedding = found.embedding
        a, b = self.projector(embedding).chunk(2)
        group = views[0].group if c.negatives == "other-groups" else None
        contrast = nt_xent(a, b, c.temperature, group=group)
        return Loss(
            c.contrast * contrast + (1 - c.contrast) * reconstruction,
            terms={"contrast": contrast, "reconstruction": reconstruction},
            watch={"embedding": mean_of(embedding.chunk(2))},
        )

    def export(self, backbone: Backbone) -> Export:
        """The encoder; the decoder goes along for reconstructions."""
        return Export(encoder=backbone, parts={"decoder": self.decoder})

    def trivial(self, batch: int) -> float:
        """All embeddings alike, and each patch's own mean predicted."""
        c = self.config
        return float((1 - c.contrast) + c.contrast * math.log(max(1, 2 * batch - 1)))
