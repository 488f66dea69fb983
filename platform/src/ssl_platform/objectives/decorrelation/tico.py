"""TiCo: agree with a slow teacher, and turn away from the directions that past embeddings already take.

The second moment of past embeddings stands for a memory bank of any size in dimensions squared. Departures from the
published code: it is that of the global batch, a buffer that follows the optimiser's steps (so accumulation and skipped
steps cannot move it), and the teacher's momentum counts the same steps.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.decorrelation import second_moment, tico_terms
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import mean_of
from ssl_platform.objectives.settings import Momentum, Weight, Widths
from ssl_platform.objectives.teacher import Teacher
from ssl_platform.plan import Plan
from ssl_platform.schedules import cosine
from ssl_platform.types import Loss, Step, Views


@objective(
    "tico",
    needs=Plan.augmented(2, batch_coupled=True, min_batch=2),
    paper="Zhu, Moraes, Karakulak, Sobol, Canziani, LeCun: TiCo: Transformation Invariance and Covariance Contrast for "
    "Self-Supervised Visual Representation Learning, 2022, arXiv:2206.10698, eq. 2-4",
)
class TiCo(Objective):
    """Transformation invariance and covariance contrast: the running second moment of embeddings is the negatives."""

    class Config(ObjectiveConfig):
        """Settings of TiCo."""

        proj_dims: Widths = (4096, 256)
        contrast: Weight = Field(8.0, description="weight rho of the covariance contrast; without it all collapses")
        memory: float = Field(0.9, ge=0, lt=1, description="beta: of the second moment's moving average")
        momentum: Momentum = 0.99

    covariance: Tensor

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the projector, the teacher and the second moment."""
        dims = self.config.proj_dims
        self.projector = mlp(backbone.embed_dim, *dims, norm="batch")
        self.teacher = Teacher(backbone, {"projector": self.projector})
        self.register_buffer("covariance", torch.zeros(dims[-1], dims[-1]))

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Half the squared distance of the two branches, plus `contrast` times the student's second moment in C."""
        c = self.config
        features = backbone(views[0]).pooled
        student = self.projector(features)
        with torch.no_grad():
            target = self.teacher.head("projector", self.teacher.backbone(views[1]).pooled)
        moment = second_moment(student)
        covariance = torch.lerp(moment, self.covariance.to(moment.dtype), c.memory)
        terms = tico_terms(student, target, covariance)
        return Loss(
            terms.invariance + c.contrast * terms.contrast,
            terms={"invariance": terms.invariance, "contrast": terms.contrast},
            watch={"embedding": features, "second_moment": moment.detach()},
        )

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Move the second moment by the mean over micro-batches, and the teacher, whose momentum rises to 1."""
        moment = mean_of([w["second_moment"] for w in watch])
        self.covariance.lerp_(moment.to(self.covariance.dtype), 1.0 - self.config.memory)
        momentum = cosine(self.config.momentum, 1.0, step.progress)
        self.teacher.update(backbone, {"projector": self.projector}, momentum)

    def trivial(self, batch: int) -> float:
        """Isotropic embeddings that know nothing of their target: `1 + rho / D`."""
        return float(1.0 + self.config.contrast / self.config.proj_dims[-1])
