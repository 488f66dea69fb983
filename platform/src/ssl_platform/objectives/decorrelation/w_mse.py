"""W-MSE: whitened views agree; whitening itself forbids collapse.

Departures from the published code: sub-batches are drawn from the global batch whatever the number of processes, by
the samples' own draws; whitening runs in float64; and a batch that is no multiple of the sub-batch is divided into
larger ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from ssl_platform import distributed
from ssl_platform.losses.whitening import w_mse
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import mean_of, pooled
from ssl_platform.objectives.settings import Size
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, Views


class WMSEConfig(ObjectiveConfig):
    """Settings of W-MSE."""

    hidden: Size = Field(1024, description="width of the projector's hidden layer")
    whitened: Size = Field(64, description="dimensions of the embedding, each of which whitening keeps alive")
    per_dimension: Annotated[float, Field(gt=1)] = Field(
        2.0, description="samples of a sub-batch for each whitened dimension"
    )
    partitions: Size = Field(1, description="random divisions into sub-batches a step whose losses are averaged")
    views: Annotated[int, Field(ge=2)] = Field(2, description="augmented views; the paper also uses 4")
    normalise: bool = Field(True, description="compare whitened embeddings of unit length")
    shrinkage: float = Field(0.0, ge=0, lt=1, description="of covariances towards the identity before whitening")

    @property
    def sub_batch(self) -> int:
        """Least samples that are whitened together."""
        return max(self.whitened + 1, round(self.per_dimension * self.whitened))


@objective(
    "w-mse",
    needs=lambda c: Plan.augmented(c.views, batch_coupled=True, min_batch=c.sub_batch),
    paper="Ermolov, Siarohin, Sangineto, Sebe: Whitening for Self-Supervised Representation Learning, ICML 2021, "
    "arXiv:2007.06346, eq. 3-6",
)
class WMSE(Objective):
    """Squared distance of views whose embeddings are whitened in random sub-batches: no negatives, no teacher."""

    Config = WMSEConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the projector."""
        self.projector = mlp(backbone.embed_dim, self.config.hidden, self.config.whitened, norm="batch")

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean over pairs of views and over divisions of the batch."""
        c = self.config
        features = pooled(backbone, views)
        loss = w_mse([self.projector(f) for f in features], self._orders(views), c.sub_batch, c.shrinkage, c.normalise)
        return Loss(loss, watch={"embedding": mean_of(features)})

    def _orders(self, views: Views) -> list[Tensor]:
        """Random orders of the global batch, equal on all ranks."""
        lots = distributed.gather(views[0].random.bits("sub-batches", self.config.partitions))  # [N, partitions]
        return [*lots.argsort(dim=0).unbind(1)]

    def trivial(self, batch: int) -> float:
        """Whitened views that have nothing to do with each other."""
        return 2.0
