"""BYOL: predict the slow teacher's projection of the other view; no negatives.

Departures from the published code: batch statistics are global, the momentum is a function of the optimiser step (so
accumulation cannot move it twice), and the teacher's buffers follow the student's, so that it can be exported.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.distillation import byol_regression
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Export, Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import mean_of, pooled
from ssl_platform.objectives.settings import Momentum, PredictorWidths, Widths
from ssl_platform.objectives.teacher import Teacher
from ssl_platform.plan import Plan
from ssl_platform.schedules import cosine
from ssl_platform.types import Loss, Step, Views


@objective(
    "byol",
    needs=Plan.augmented(2, batch_coupled=True, min_batch=2),
    paper="Grill et al.: Bootstrap Your Own Latent, NeurIPS 2020, arXiv:2006.07733, eq. 1-2",
)
class BYOL(Objective):
    """Regress the teacher's normalised projection of one view from the student's prediction of the other."""

    class Config(ObjectiveConfig):
        """Settings of BYOL."""

        proj_dims: Widths = (4096, 256)
        pred_dims: PredictorWidths = (4096, 256)
        momentum: Momentum = 0.996
        predictor: bool = Field(True, description="without it the encoder collapses: for controls only")

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make projector, predictor and the teacher's copies."""
        c = self.config
        self.projector = mlp(backbone.embed_dim, *c.proj_dims, norm="batch")
        self.predictor: nn.Module = nn.Identity()
        if c.predictor:
            self.predictor = mlp(c.proj_dims[-1], *c.pred_dims, norm="batch")
        self.teacher = Teacher(backbone, {"projector": self.projector})

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """The symmetrised regression, in `[0, 8]`."""
        features = pooled(backbone, views)
        predictions = [self.predictor(self.projector(f)) for f in features]
        with torch.no_grad():
            targets = [self.teacher.head("projector", f) for f in pooled(self.teacher.backbone, views)]
        loss = byol_regression(predictions[0], targets[1]) + byol_regression(predictions[1], targets[0])
        return Loss(loss, watch={"embedding": mean_of(features), "prediction": predictions[0].detach()})

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Move the teacher; its momentum rises to 1 along a cosine over all steps."""
        momentum = cosine(self.config.momentum, 1.0, step.progress)
        self.teacher.update(backbone, {"projector": self.projector}, momentum)

    def export(self, backbone: Backbone) -> Export:
        """The student's backbone."""
        return Export(encoder=backbone)

    def trivial(self, batch: int) -> float:
        """Predictions orthogonal to their targets."""
        return 4.0
