"""VICReg: agree, keep every dimension's spread, and decorrelate the dimensions.

Departure from the published code: variance and covariance are those of the global batch, with exact gradients, whatever
the number of processes.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field
from torch import nn

from ssl_platform.losses.decorrelation import vicreg_terms
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import mean_of, pooled
from ssl_platform.objectives.settings import Positive, Weight, Widths
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, Views


@objective(
    "vicreg",
    needs=Plan.augmented(2, batch_coupled=True, min_batch=2),
    paper="Bardes, Ponce, LeCun: VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning, "
    "ICLR 2022, arXiv:2105.04906, eq. 1-6",
)
class VICReg(Objective):
    """Variance-invariance-covariance regularisation: no negatives, no teacher, no stop-gradient."""

    class Config(ObjectiveConfig):
        """Settings of VICReg."""

        proj_dims: Widths = (8192, 8192, 8192)
        sim: Weight = Field(25.0, description="weight of the invariance term (mean squared distance of the views)")
        var: Weight = Field(25.0, description="weight of the variance term (hinge on the standard deviation)")
        cov: Weight = Field(1.0, description="weight of the covariance term (squared off-diagonal covariances)")
        gamma: Positive = Field(1.0, description="standard deviation the variance term asks of every dimension")
        eps: Positive = Field(1e-4, description="added to variances before the root")

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the expander."""
        self.projector = mlp(backbone.embed_dim, *self.config.proj_dims, norm="batch")

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Weighted sum of the three terms on the expanded views."""
        c = self.config
        a, b = pooled(backbone, views)
        terms = vicreg_terms(self.projector(a), self.projector(b), gamma=c.gamma, eps=c.eps)
        total = c.sim * terms.invariance + c.var * terms.variance + c.cov * terms.covariance
        named = {"invariance": terms.invariance, "variance": terms.variance, "covariance": terms.covariance}
        return Loss(total, terms=named, watch={"embedding": mean_of([a, b])})

    def trivial(self, batch: int) -> float:
        """Constant embeddings: only the variance hinge is left, `var (gamma - sqrt(eps))`."""
        return float(self.config.var * (self.config.gamma - self.config.eps**0.5))
