"""SimCLR: each view must pick its sibling among all other views of the batch.

Departures from the published code: batch statistics and negatives are those of the global batch whatever the number of
processes, and pairs of one group (patient, place) can be left out of the negatives.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.contrastive import nt_xent
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import mean_of, pooled
from ssl_platform.objectives.settings import Temperature, Widths
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, Views


@objective(
    "simclr",
    needs=Plan.augmented(2, groups=True, batch_coupled=True, min_batch=2),
    paper="Chen, Kornblith, Norouzi, Hinton: A Simple Framework for Contrastive Learning of Visual Representations, "
    "ICML 2020, arXiv:2002.05709, eq. 1",
)
class SimCLR(Objective):
    """Contrast two augmented views of a sample with all other samples (NT-Xent)."""

    class Config(ObjectiveConfig):
        """Settings of SimCLR."""

        proj_dims: Widths = (2048, 128)
        temperature: Temperature = 0.1
        negatives: Literal["all", "other-groups"] = Field(
            "all", description="which samples repel: all others, or only those of other groups (patients, scenes)"
        )

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the projector."""
        self.projector = mlp(backbone.embed_dim, *self.config.proj_dims, norm="batch", last_norm=True)

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """NT-Xent of the two projected views."""
        a, b = pooled(backbone, views)
        group = views[0].group if self.config.negatives == "other-groups" else None
        loss = self.contrast(self.projector(a), self.projector(b), group)
        return Loss(loss, watch={"embedding": mean_of([a, b])})

    def contrast(self, a: Tensor, b: Tensor, group: Tensor | None) -> Tensor:
        """The loss of two views' projections `[B, D]`."""
        return nt_xent(a, b, self.config.temperature, group)

    def trivial(self, batch: int) -> float:
        """`log(2 B - 1)`: all embeddings alike."""
        return math.log(max(1, 2 * batch - 1))
