"""VI-SimSiam: SimSiam read as variational inference on a sphere, with a concentration predicted for every sample.

The loss is the negative log density of the other view's projection under a power spherical posterior. Where views agree
badly a low concentration costs less, so its inverse is the sample's uncertainty; it is exported with the encoder. There
is no public code: the head reads the projection, as the predictor does, and its output is in units of the dimension
(softplus alone would have to reach tens of thousands at 2048 dimensions); densities are relative to the uniform one, a
constant that changes no gradient. The concentration reads features and does not shape them unless `joint`: in short
runs an encoder shaped by it told how sure to be before it told what it sees, and its views agreed less in the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.power_spherical import log_power_spherical, log_uniform_sphere
from ssl_platform.losses.precision import widen
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Export, objective
from ssl_platform.objectives.distillation.simsiam import SimSiam, SimSiamConfig
from ssl_platform.objectives.embedding import mean_of, pooled
from ssl_platform.objectives.settings import Positive, Size
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, Views


class VISimSiamConfig(SimSiamConfig):
    """Settings of VI-SimSiam."""

    hidden: Size = Field(512, description="hidden width of the head that predicts the concentration")
    least_concentration: Positive = Field(1e-3, description="added to every concentration")
    joint: bool = Field(False, description="whether the concentration's gradient reaches the encoder")


@objective(
    "vi-simsiam",
    needs=Plan.augmented(2, batch_coupled=True, min_batch=2),
    paper="Nakamura, Okada, Taniguchi: Representation Uncertainty in Self-Supervised Learning as Variational "
    "Inference, ICCV 2023, arXiv:2203.11437",
)
class VISimSiam(SimSiam):
    """Predict a direction and how sure it is; the other view's projection must be likely under both."""

    Config = VISimSiamConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make SimSiam's heads and the one of the concentration."""
        super().build(backbone, models)
        self.concentration_head = mlp(self.config.proj_dims[-1], self.config.hidden, 1, norm="batch")

    def concentration(self, projection: Tensor) -> Tensor:
        """`[B, D]` projections to `[B]` kappas above 0; the cosine they expect is `kappa / (kappa + D - 1)`."""
        read = projection if self.config.joint else projection.detach()
        told = F.softplus(widen(self.concentration_head(read)[..., 0]))
        return told * (projection.shape[-1] - 1) + self.config.least_concentration

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Negative log density ratio of each view's projection under the other's posterior, mean of both directions."""
        features = pooled(backbone, views)
        projections = [self.projector(f) for f in features]
        kappas = [self.concentration(z) for z in projections]
        predictions = [self.predictor(z) for z in projections]
        losses = [self.surprise(p, k, z) for p, k, z in zip(predictions, kappas, projections[::-1], strict=True)]
        return Loss(
            mean_of(losses),
            terms={
                "cosine": -self.agreement(predictions, projections).detach(),
                "concentration": mean_of(kappas).mean(),
            },
            watch={"embedding": mean_of(features), "concentration": kappas[0].detach()},
        )

    def surprise(self, prediction: Tensor, kappa: Tensor, target: Tensor) -> Tensor:
        """Minus the mean log density of `target` `[B, D]`, held still, relative to the uniform distribution's."""
        if self.config.stop_gradient:
            target = target.detach()
        dim = target.shape[-1]
        cosine = F.cosine_similarity(widen(prediction), widen(target), dim=-1)
        return (log_uniform_sphere(dim) - log_power_spherical(cosine, kappa, dim)).mean().to(cosine.dtype)

    def export(self, backbone: Backbone) -> Export:
        """The encoder, and the two heads that tell a concentration from its features."""
        parts: dict[str, Any] = {"projector": self.projector, "concentration": self.concentration_head}
        return Export(encoder=backbone, parts=parts)

    def trivial(self, batch: int) -> float | None:
        """None: the density ratio of a model that knows nothing is 0, and no loss is a fraction of that."""
        return None
