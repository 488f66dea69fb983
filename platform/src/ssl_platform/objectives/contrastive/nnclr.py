"""NNCLR: the positive of a view is the nearest past embedding of its sibling, so positives cross samples.

Departures from the published code: batch statistics and negatives are those of the global batch; with `queue=0` a
sample's own embedding stands in for its neighbour.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.contrastive import info_nce
from ssl_platform.losses.precision import widen
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.bank import Queue
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import mean_of, pooled
from ssl_platform.objectives.settings import Count, PredictorWidths, Temperature, Widths
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, Step, Views


@objective(
    "nnclr",
    needs=Plan.augmented(2, batch_coupled=True, min_batch=2),
    paper="Dwibedi, Aytar, Tompson, Sermanet, Zisserman: With a Little Help from My Friends: Nearest-Neighbor "
    "Contrastive Learning of Visual Representations, ICCV 2021, arXiv:2104.14548, eq. 2-4",
)
class NNCLR(Objective):
    """Contrast the nearest neighbour of one view in a support set with the predictions of the other views."""

    remembers = True

    class Config(ObjectiveConfig):
        """Settings of NNCLR."""

        proj_dims: Widths = (2048, 2048, 256)
        pred_dims: PredictorWidths = (4096, 256)
        temperature: Temperature = 0.1
        queue: Count = Field(98304, description="past embeddings neighbours are sought in; 0: a sample's own instead")

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make projector, predictor and the support set."""
        c = self.config
        self.projector = mlp(backbone.embed_dim, *c.proj_dims, norm="batch", last_norm=True)
        self.predictor = mlp(c.proj_dims[-1], *c.pred_dims, norm="batch")
        self.queue = Queue(c.queue, c.proj_dims[-1])

    @torch.no_grad()
    def neighbours(self, z: Tensor) -> Tensor:
        """`[B, D]` the rows of the support set most similar to unit vectors `[B, D]`, in at least float32."""
        if not self.config.queue:
            return z.detach()
        rows = self.queue.content()
        with torch.autocast(z.device.type, enabled=False):
            return rows[(z.to(rows.dtype) @ rows.T).argmax(dim=1)]

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean over both directions of InfoNCE between neighbours of one view and predictions of the other."""
        features = pooled(backbone, views)
        projected = [self.projector(f) for f in features]
        a, b = (self.predictor(p) for p in projected)
        z = [F.normalize(widen(p.detach()), dim=1) for p in projected]
        near = [self.neighbours(part) for part in z]
        t = self.config.temperature
        loss = 0.5 * (info_nce(near[0], b, t, in_batch=True) + info_nce(near[1], a, t, in_batch=True))
        terms = {"neighbour_similarity": (near[0] * z[0]).sum(dim=1).mean()}
        return Loss(loss, terms, {"embedding": mean_of(features), "support": z[0]})

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """The first views' embeddings join the support set."""
        if self.config.queue:
            self.queue.push(torch.cat([w["support"] for w in watch]))

    def trivial(self, batch: int) -> float:
        """`ln B`: all predictions alike."""
        return math.log(max(1, batch))
