"""Barlow Twins: the views' cross-correlation must be the identity, so dimensions agree with themselves and not with
each other.

Departures from the published code: means, variances and correlations are those of the global batch and every one of
them carries its gradient, so any number of processes trains like one (published code scales the gradient with the
number of processes, or standardises each process' share on its own); and the whole dimensions-squared matrix is only
formed where it is smaller than the batch's.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field
from torch import nn

from ssl_platform.losses.decorrelation import barlow_twins
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Objective, ObjectiveConfig, Player, objective, trainable
from ssl_platform.objectives.embedding import mean_of, pooled
from ssl_platform.objectives.settings import Positive, Weight, Widths
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, Views


@objective(
    "barlow-twins",
    needs=Plan.augmented(2, batch_coupled=True, min_batch=2),
    paper="Zbontar, Jing, Misra, LeCun, Deny: Barlow Twins: Self-Supervised Learning via Redundancy Reduction, "
    "ICML 2021, arXiv:2103.03230, eq. 1-2",
)
class BarlowTwins(Objective):
    """Redundancy reduction: no negatives, no teacher, no stop-gradient, modest batches, a wide projector."""

    class Config(ObjectiveConfig):
        """Settings of Barlow Twins."""

        proj_dims: Widths = (8192, 8192, 8192)
        off_diagonal: Weight = Field(
            0.0051, description="weight lambda of the squared correlations of unlike dimensions, chosen for 8192"
        )
        eps: Positive = Field(1e-5, description="added to variances")
        bias_lr: Positive = Field(
            1.0,
            description="of biases and norms, as a multiple of the weights' (0.024 with LARS as published)",
        )

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the projector."""
        self.projector = mlp(backbone.embed_dim, *self.config.proj_dims, norm="batch", last_bias=False)

    def players(self, backbone: Backbone) -> list[Player]:
        """One player, or vectors apart from matrices where their learning rate is another."""
        if self.config.bias_lr == 1.0:
            return super().players(backbone)
        everything = trainable([backbone, self])
        return [
            Player("main", [p for p in everything if p.ndim > 1]),
            Player("biases", [p for p in everything if p.ndim <= 1], lr=self.config.bias_lr),
        ]

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """The distance of the projected views' cross-correlation from the identity."""
        c = self.config
        a, b = pooled(backbone, views)
        loss = barlow_twins(self.projector(a), self.projector(b), c.off_diagonal, c.eps)
        return Loss(loss, watch={"embedding": mean_of([a, b])})

    def trivial(self, batch: int) -> float:
        """Constant embeddings: every dimension is 1 away from correlating with itself."""
        return float(self.config.proj_dims[-1])
