"""LeJEPA: every view predicts the mean of the global ones, and all embeddings are to be normally distributed.

There is no teacher, no stop-gradient and no predictor. Departures from the published code: the characteristic functions
are those of the global batch with exact gradients, and directions are drawn from the batch's place in the run, so that
all processes and a resumed run agree.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ssl_platform import distributed
from ssl_platform.draws import Draws
from ssl_platform.losses.sigreg import sigreg, statistic_of_constant, view_mean_mse
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import mean_of, pooled
from ssl_platform.objectives.settings import LocalCrops, Positive, Size, Widths
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, Views


@objective(
    "lejepa",
    needs=lambda c: Plan.multi_crop(c.local_crops, batch_coupled=True, min_batch=2),
    paper="Balestriero, LeCun: LeJEPA: Provable and Scalable Self-Supervised Learning Without the Heuristics, 2025, "
    "arXiv:2511.08544, sections 4 and 5",
)
class LeJEPA(Objective):
    """Views predict their mean while random projections are tested for normality (SIGReg)."""

    class Config(ObjectiveConfig):
        """Settings of LeJEPA."""

        proj_dims: Widths = (2048, 2048, 64)
        regularisation: float = Field(
            0.05,
            ge=0,
            le=1,
            description="weight lambda of SIGReg against 1 - lambda of the prediction; at 0 all collapses",
        )
        batch_scaled: bool = Field(
            True, description="SIGReg times the samples, as published: small batches then need a larger weight"
        )
        slices: Size = Field(1024, description="random directions a step")
        knots: int = Field(17, ge=2, description="frequencies at which distributions are compared")
        t_max: Positive = Field(3.0, description="largest frequency")
        local_crops: LocalCrops = 6

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the projector."""
        self.projector = mlp(backbone.embed_dim, *self.config.proj_dims, norm="batch")

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """`(1 - lambda)` prediction of the global views' mean plus `lambda` SIGReg of every view."""
        c = self.config
        centres = len(views["global"])
        features = pooled(backbone, views)
        z = self.projector(torch.stack(features))  # [V, B, K]
        prediction = view_mean_mse(z.unbind(), centres)
        normality = sigreg(z, self._directions(views, z.shape[-1]), c.knots, c.t_max, c.batch_scaled)
        return Loss(
            (1 - c.regularisation) * prediction + c.regularisation * normality,
            terms={"prediction": prediction, "sigreg": normality},
            watch={"embedding": mean_of(features[:centres])},
        )

    def _directions(self, views: Views, dim: int) -> Tensor:
        """`[S, dim]` unit vectors that belong to the first sample of the global batch."""
        first = Draws(distributed.broadcast(views[0].random.keys[:1]))
        return F.normalize(first.normal("slices", self.config.slices, dim)[0], dim=1)

    def trivial(self, batch: int) -> float:
        """All embeddings zero: only the distance of a constant from a normal distribution is left."""
        c = self.config
        return float(c.regularisation * statistic_of_constant(c.knots, c.t_max) * (batch if c.batch_scaled else 1))
