"""MSN: crops with dropped tokens must fall into the same clusters as the slow teacher's view of the whole.

Departures from the published code: tokens are dropped sample by sample, the same number everywhere; the mean anchor
prediction and the equalised targets are those of the global batch; the weight of every anchor's own entropy, 0 as
published, is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.clustering import soft_cross_entropy
from ssl_platform.losses.distillation import sharpened
from ssl_platform.losses.entropy import mean_entropy_gap
from ssl_platform.masking.random import random_masks
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.clustering import sinkhorn
from ssl_platform.nn.heads import WeightNormLinear, mlp
from ssl_platform.objectives.base import Export, Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import mean_of, pooled
from ssl_platform.objectives.settings import (
    LocalCrops,
    Momentum,
    Positive,
    Prototypes,
    Size,
    Temperature,
    Weight,
    Widths,
)
from ssl_platform.objectives.teacher import Teacher
from ssl_platform.plan import Plan, ViewSpec
from ssl_platform.schedules import linear
from ssl_platform.types import Loss, Mask, Step, Tokens, View, Views


class MSNConfig(ObjectiveConfig):
    """Settings of MSN."""

    prototypes: Prototypes = 1024
    proj_dims: Widths = (2048, 2048, 256)
    temperature: Temperature = 0.1
    sharpening: Positive = Field(0.25, description="temperature that sharpens the targets; 1 leaves them as they are")
    sinkhorn: bool = Field(True, description="whether the targets use every prototype equally")
    sinkhorn_iterations: Size = Field(3, description="Sinkhorn-Knopp iterations")
    memax_weight: Weight = Field(1.0, description="weight of the mean prediction's entropy, which is maximised")
    patch_drop: float = Field(0.15, ge=0, lt=1, description="fraction of the large anchors' tokens that is dropped")
    random_views: Size = Field(1, description="large anchors with dropped tokens")
    local_crops: LocalCrops = 10
    momentum: Momentum = 0.996


def _needs(c: MSNConfig) -> Plan:
    large, small = ViewSpec("global", count=1 + c.random_views), ViewSpec("local", count=c.local_crops)
    return Plan(
        (large, small) if c.local_crops else (large,), offers=("tokens", "drop"), batch_coupled=True, min_batch=2
    )


@objective(
    "msn",
    needs=_needs,
    paper="Assran et al.: Masked Siamese Networks for Label-Efficient Learning, ECCV 2022, arXiv:2204.07141, eq. 1",
)
class MSN(Objective):
    """Match the cluster assignments of masked and small anchors with those of an unmasked target."""

    Config = MSNConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make projector, prototypes (used at unit length) and the teacher."""
        c = self.config
        self.projector = mlp(backbone.embed_dim, *c.proj_dims, norm="batch", activation="gelu")
        self.prototypes = WeightNormLinear(c.proj_dims[-1], c.prototypes)
        self.teacher = Teacher(backbone, {"projector": self.projector})

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Cross-entropy of every anchor with its target, and the mean prediction's lack of entropy."""
        c = self.config
        target, *anchors = views["global"]
        with torch.no_grad():
            projected = self.teacher.head("projector", self.teacher.backbone(target).pooled)
            probs = self.targets(self.prototypes(F.normalize(projected, dim=-1)))
        features = [*self.dropped(backbone, anchors), *pooled(backbone, views[1 + len(anchors) :])]
        z = F.normalize(self.projector(torch.cat(features)), dim=-1)
        scores = self.prototypes(z)  # [A * B, K]
        loss = soft_cross_entropy(scores, probs.repeat(len(features), 1), c.temperature)
        memax = mean_entropy_gap(scores, c.temperature)
        return Loss(
            loss + c.memax_weight * memax,
            terms={"cross_entropy": loss, "memax": memax},
            watch={"embedding": mean_of(features[: len(anchors)]), "teacher_probs": probs},
        )

    def targets(self, scores: Tensor) -> Tensor:
        """`[B, K]` sharpened assignments, equalised over the global batch."""
        c = self.config
        probs = sharpened((scores / c.temperature).softmax(dim=-1), c.sharpening)
        return sinkhorn(probs.log(), 1.0, c.sinkhorn_iterations) if c.sinkhorn else probs

    def dropped(self, backbone: Backbone, anchors: Sequence[View]) -> list[Tensor]:
        """`[B, D]` features of each large anchor, from what is left of its tokens."""
        joined = View.cat(anchors)
        tokens = backbone.tokenize(joined)
        return list(backbone.encode(tokens, self.kept(tokens, joined)).pooled.chunk(len(anchors)))

    def kept(self, tokens: Tokens, view: View) -> Mask | None:
        """`round(N (1 - patch_drop))` random tokens of every sample; None when all are kept."""
        count = round(tokens.count * (1 - self.config.patch_drop))
        if count >= tokens.count:
            return None
        return random_masks(tokens, 1 - count / tokens.count, view.random).visible

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Move the teacher; its momentum rises linearly to 1."""
        self.teacher.update(backbone, {"projector": self.projector}, linear(self.config.momentum, 1.0, step.progress))

    def export(self, backbone: Backbone) -> Export:
        """The teacher's backbone."""
        return Export(encoder=self.teacher.backbone)

    def trivial(self, batch: int) -> float:
        """`ln K`: uniform predictions."""
        return math.log(self.config.prototypes)
