"""MoCo v3: predict a momentum encoder's key of the other view among the keys of the whole batch, in both directions.

Departures from the published code: what is frozen is whatever first embeds raw patches (on any rank, for channel
tokenizers too; point groups and convnets have no such layer and freeze nothing), the momentum is a function of the
optimiser step, and batch norms use global statistics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.contrastive import info_nce
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import mean_of, pooled
from ssl_platform.objectives.settings import Momentum, PredictorWidths, Temperature, Widths
from ssl_platform.objectives.teacher import Teacher
from ssl_platform.plan import Plan
from ssl_platform.schedules import cosine
from ssl_platform.types import Loss, Step, Views


@objective(
    "moco-v3",
    needs=Plan.augmented(2, batch_coupled=True, min_batch=2),
    paper="Chen, Xie, He: An Empirical Study of Training Self-Supervised Vision Transformers, ICCV 2021, "
    "arXiv:2104.02057, eq. 1, algorithm 1",
)
class MoCoV3(Objective):
    """Symmetrised contrast of predictions with momentum keys of the batch, patch embedding frozen."""

    class Config(ObjectiveConfig):
        """Settings of MoCo v3."""

        proj_dims: Widths = (4096, 4096, 256)
        pred_dims: PredictorWidths = (4096, 256)
        pred_norm: bool = Field(True, description="whether the prediction is batch-normalised (ResNets: no)")
        temperature: Temperature = 0.2
        momentum: Momentum = 0.99
        freeze_patch_embed: bool = Field(True, description="whether the patch embedding stays as it was drawn")

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Freeze the patch embedding; make projector, predictor and the key encoder."""
        c = self.config
        embed = getattr(backbone.tokenizer, "embed", None)
        if c.freeze_patch_embed and isinstance(embed, nn.Module):
            embed.requires_grad_(False)
        self.projector = mlp(backbone.embed_dim, *c.proj_dims, norm="batch", last_norm=True, last_affine=False)
        self.predictor = mlp(c.proj_dims[-1], *c.pred_dims, norm="batch", last_norm=c.pred_norm, last_affine=False)
        self.teacher = Teacher(backbone, {"projector": self.projector})

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """`2 T` times InfoNCE, summed over the two directions: the scale of its gradient does not depend on T."""
        t = self.config.temperature
        features = pooled(backbone, views)
        q = [self.predictor(self.projector(f)) for f in features]
        with torch.no_grad():
            k = [self.teacher.head("projector", f) for f in pooled(self.teacher.backbone, views)]
        loss = 2 * t * (info_nce(q[0], k[1], t, in_batch=True) + info_nce(q[1], k[0], t, in_batch=True))
        return Loss(loss, watch={"embedding": mean_of(features), "prediction": q[0].detach()})

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Move the key encoder; its momentum rises to 1 along a cosine over all steps."""
        momentum = cosine(self.config.momentum, 1.0, step.progress)
        self.teacher.update(backbone, {"projector": self.projector}, momentum)

    def trivial(self, batch: int) -> float:
        """`4 T ln B`: all keys alike."""
        return 4 * self.config.temperature * math.log(max(1, batch))
