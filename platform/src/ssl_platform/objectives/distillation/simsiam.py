"""SimSiam: predict the other view's projection, which is held still; no negatives, no momentum, no large batch.

Departures from the published code: batch statistics are global, and 1 is added to the loss, so that it is 0 where views
agree perfectly and health can compare it with its trivial value. Where a residual backbone is used, its paper starts
the last normalisation of each block at zero; that is the backbone's to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.distillation import negative_cosine
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Objective, ObjectiveConfig, Player, objective, trainable
from ssl_platform.objectives.embedding import mean_of, pooled
from ssl_platform.objectives.settings import Size, Widths
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, Views


class SimSiamConfig(ObjectiveConfig):
    """Settings of SimSiam."""

    proj_dims: Widths = (2048, 2048, 2048)
    bottleneck: Size = Field(512, description="hidden width of the predictor")
    constant_predictor_lr: bool = Field(True, description="keep the predictor's learning rate where others decay")
    stop_gradient: bool = Field(True, description="without it the encoder collapses: for controls only")


@objective(
    "simsiam",
    needs=Plan.augmented(2, batch_coupled=True, min_batch=2),
    paper="Chen, He: Exploring Simple Siamese Representation Learning, CVPR 2021, arXiv:2011.10566, eq. 1-4",
)
class SimSiam(Objective):
    """Cosine of each view's prediction with the other view's projection, through which no gradient flows."""

    Config = SimSiamConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the projector, normalised after every layer, and the predictor."""
        c = self.config
        dim = c.proj_dims[-1]
        self.projector = mlp(backbone.embed_dim, *c.proj_dims, norm="batch", last_norm=True, last_affine=False)
        self.predictor = mlp(dim, c.bottleneck, dim, norm="batch")

    def players(self, backbone: Backbone) -> list[Player]:
        """The predictor, which must follow the encoder to the end, and everything else."""
        heads = trainable([self.predictor])
        known = {id(p) for p in heads}
        rest = [p for p in trainable([backbone, self]) if id(p) not in known]
        return [Player("main", rest), Player("predictor", heads, constant=self.config.constant_predictor_lr)]

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """One minus the symmetrised cosine, in `[0, 2]`."""
        features = pooled(backbone, views)
        projections = [self.projector(f) for f in features]
        predictions = [self.predictor(z) for z in projections]
        loss = 1 + self.agreement(predictions, projections)
        return Loss(loss, watch={"embedding": mean_of(features), "prediction": predictions[0].detach()})

    def agreement(self, predictions: Sequence[Tensor], projections: Sequence[Tensor]) -> Tensor:
        """`(D(p1, z2) + D(p2, z1)) / 2` with the projections held still, in `[-1, 1]`."""
        first, second = (z.detach() if self.config.stop_gradient else z for z in projections)
        return (negative_cosine(predictions[0], second) + negative_cosine(predictions[1], first)) / 2

    def trivial(self, batch: int) -> float | None:
        """Predictions orthogonal to their targets."""
        return 1.0
