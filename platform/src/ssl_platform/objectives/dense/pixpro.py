"""PixPro: what a token's likest surroundings say must agree with the slow teacher's tokens at the same place.

Departures from the published code: distances are measured in cells along every axis, so grids of any rank and point
sets are compared (for square cells it is the published one); batch statistics are global; the momentum counts optimiser
steps. The companion loss PixContrast is not here.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.dense import place_consistency
from ssl_platform.losses.distillation import byol_regression
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import mlp
from ssl_platform.nn.matching import place_distance
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import embedded, mean_of
from ssl_platform.objectives.settings import Count, Momentum, Positive, Weight, Widths
from ssl_platform.objectives.teacher import Teacher
from ssl_platform.plan import Plan
from ssl_platform.schedules import cosine
from ssl_platform.types import Features, Loss, Step, Views


class PixelPropagation(nn.Module):
    """Every token becomes a sum of all tokens of its view, weighted by likeness (PixPro, eq. 3).

    Args:
        dim: width D.
        gamma: power of the cosines, at least 1.
        layers: linear layers of the transformation, with batch statistics and ReLU between; 0 for none.
    """

    def __init__(self, dim: int, gamma: float = 2.0, layers: int = 1) -> None:
        super().__init__()
        self.gamma = gamma
        self.transform: nn.Module = mlp(dim, *[dim] * layers, norm="batch", last_bias=True) if layers else nn.Identity()

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """`[B, N, D]` to `[B, N, D]`; invalid tokens (`[B, N]` False) give nothing to others."""
        unit = F.normalize(x, dim=-1)
        weight = (unit @ unit.mT).relu().pow(self.gamma)
        if valid is not None:
            weight = weight.masked_fill(~valid[:, None], 0.0)
        return weight @ F.normalize(self.transform(x), dim=-1)


class PixProConfig(ObjectiveConfig):
    """Settings of PixPro."""

    proj_dims: Widths = (4096, 256)
    threshold: Positive = Field(0.7, description="tokens nearer than this are pairs, in diagonals of the larger cell")
    gamma: float = Field(2.0, ge=1, description="power of the cosines in the propagation")
    transform_layers: Count = Field(1, description="linear layers of the propagation's transformation")
    propagation: bool = Field(True, description="without it tokens are compared as they are: for controls only")
    momentum: Momentum = 0.99
    instance_weight: Weight = Field(0.0, description="weight of BYOL's loss on whole views beside that on tokens")


@objective(
    "pixpro",
    needs=Plan.augmented(2, offers=("tokens",), batch_coupled=True, min_batch=2),
    paper="Xie et al.: Propagate Yourself: Exploring Pixel-Level Consistency for Unsupervised Visual "
    "Representation Learning, CVPR 2021, arXiv:2011.10043, eq. 1-4",
)
class PixPro(Objective):
    """Agree with a momentum teacher on every token that both views show, after propagation among like tokens."""

    Config = PixProConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make projectors, propagation and the teacher's copies."""
        c = self.config
        self.projector = mlp(backbone.embed_dim, *c.proj_dims, norm="batch")
        self.propagation: nn.Module | None = None
        if c.propagation:
            self.propagation = PixelPropagation(c.proj_dims[-1], c.gamma, c.transform_layers)
        if c.instance_weight:
            self.instance_projector = mlp(backbone.embed_dim, *c.proj_dims, norm="batch")
            self.instance_predictor = mlp(c.proj_dims[-1], *c.proj_dims, norm="batch")
        self.teacher = Teacher(backbone, self.heads)

    @property
    def heads(self) -> dict[str, nn.Module]:
        """What the teacher has a copy of beside the backbone."""
        heads: dict[str, nn.Module] = {"projector": self.projector}
        if self.config.instance_weight:
            heads["instance_projector"] = self.instance_projector
        return heads

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """The symmetrised consistency, in `[-4, 4]`, and BYOL's regression where it has a weight."""
        a, b = views
        online = embedded(backbone, views)
        with torch.no_grad():
            momentum = embedded(self.teacher.backbone, views)
            targets = [self.teacher.head("projector", f.tokens) for f in momentum if f.tokens is not None]
            near = place_distance(a, online[0], b, online[1]) < self.config.threshold
        first, second = (self.propagated(features) for features in online)
        loss = place_consistency(first, targets[1], near) + place_consistency(second, targets[0], near.mT)
        terms = {"pixel": loss, "pairs": near.sum(dim=(1, 2)).float().mean() / near.shape[1]}
        if self.config.instance_weight:
            terms["instance"] = self.instance(online, momentum)
            loss = loss + self.config.instance_weight * terms["instance"]
        watch = {"embedding": mean_of([f.pooled for f in online]), "prediction": first.detach().flatten(0, 1)}
        return Loss(loss, terms=terms, watch=watch)

    def propagated(self, features: Features) -> Tensor:
        """`[B, N, D]` projected tokens after propagation."""
        assert features.tokens is not None
        x: Tensor = self.projector(features.tokens)
        return x if self.propagation is None else self.propagation(x, features.valid)

    def instance(self, online: list[Features], momentum: list[Features]) -> Tensor:
        """BYOL's loss on whole views, in `[0, 8]`."""
        with torch.no_grad():
            targets = [self.teacher.head("instance_projector", f.pooled) for f in momentum]
        predictions = [self.instance_predictor(self.instance_projector(f.pooled)) for f in online]
        return byol_regression(predictions[0], targets[1]) + byol_regression(predictions[1], targets[0])

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Move the teacher; its momentum rises to 1 along a cosine."""
        self.teacher.update(backbone, self.heads, cosine(self.config.momentum, 1.0, step.progress))
