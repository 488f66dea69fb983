"""VICRegL: VICReg on whole views, and on tokens of two views matched by place and by likeness.

Departures from the published code: places are those in the source, flips and turns included (there flipped views were
matched mirrored); matches by likeness are cut to the nearest as the paper says (there all were kept); how many matches
there are depends on the pair's smaller view (there on the direction). As there, covariances of two views are averaged,
where VICReg adds them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.decorrelation import covariance, invariance, variance, vicreg_terms
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import mlp
from ssl_platform.nn.matching import feature_distance, nearest_pairs, place_distance, take
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import embedded, mean_of
from ssl_platform.objectives.settings import LocalCrops, Positive, Size, Weight, Widths
from ssl_platform.plan import Plan
from ssl_platform.types import Features, Loss, View, Views

TOUCHING = 0.5  # distance of places, in diagonals of the larger cell, below which the smaller cell's centre lies in it


class VICRegLConfig(ObjectiveConfig):
    """Settings of VICRegL."""

    alpha: float = Field(0.75, ge=0, le=1, description="share of whole views in the loss (0.9 favours classification)")
    matches: tuple[Size, Size] = Field((20, 4), description="pairs of tokens of two global views, and of smaller ones")
    proj_dims: Widths = (8192, 8192, 8192)
    map_proj_dims: Widths = (512, 512, 512)
    sim: Weight = Field(25.0, description="weight of the invariance term (mean squared distance)")
    var: Weight = Field(25.0, description="weight of the variance term (hinge on the standard deviation)")
    cov: Weight = Field(1.0, description="weight of the covariance term (squared off-diagonal covariances)")
    gamma: Positive = Field(1.0, description="standard deviation the variance term asks of every dimension")
    eps: Positive = Field(1e-4, description="added to variances before the root")
    local_crops: LocalCrops = 0


@objective(
    "vicregl",
    needs=lambda c: Plan.multi_crop(c.local_crops, offers=("tokens",), batch_coupled=True, min_batch=2),
    paper="Bardes, Ponce, LeCun: VICRegL: Self-Supervised Learning of Local Visual Features, NeurIPS 2022, "
    "arXiv:2210.01571, eq. 1-5",
)
class VICRegL(Objective):
    """Variance-invariance-covariance regularisation of whole views and of their matched tokens."""

    Config = VICRegLConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the expanders of whole views and of tokens."""
        self.projector = mlp(backbone.embed_dim, *self.config.proj_dims, norm="batch")
        self.map_projector = mlp(backbone.embed_dim, *self.config.map_proj_dims, norm="batch")

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Weighted sum of the loss on whole views and the two on tokens."""
        c, count = self.config, len(views["global"])
        features = embedded(backbone, views)
        pairs = [(i, j) for i, j in itertools.combinations(range(len(views)), 2) if i < count]
        whole = self.whole_loss([self.projector(f.pooled) for f in features], pairs)
        maps = [self.map_projector(f.tokens) for f in features]
        found = [
            self.pair_loss((views[i], features[i], maps[i]), (views[j], features[j], maps[j]), c.matches[j >= count])
            for i, j in pairs
        ]
        places, likeness, touching = (mean_of(values) for values in zip(*found, strict=True))
        total = c.alpha * whole + (1 - c.alpha) * (places + likeness)
        return Loss(
            total,
            terms={"global": whole, "places": places, "likeness": likeness, "touching": touching},
            watch={"embedding": mean_of([f.pooled for f in features[:count]])},
        )

    def whole_loss(self, z: Sequence[Tensor], pairs: Sequence[tuple[int, int]]) -> Tensor:
        """Invariance over all pairs with a global view, variance and covariance over all views `[B, D]`."""
        c = self.config
        alike = mean_of([invariance(z[i], z[j]) for i, j in pairs])
        spread = mean_of([variance(part, c.gamma, c.eps) for part in z])
        return c.sim * alike + c.var * spread + c.cov * mean_of([covariance(part) for part in z])

    def pair_loss(
        self, a: tuple[View, Features, Tensor], b: tuple[View, Features, Tensor], matches: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Loss on tokens matched by place and by likeness, and the share of the former whose cells touch."""
        (view_a, features_a, z_a), (view_b, features_b, z_b) = a, b
        apart = place_distance(view_a, features_a, view_b, features_b)
        unlike = feature_distance(z_a, z_b, features_a.valid, features_b.valid)
        touching = (nearest_pairs(apart, matches).distance < TOUCHING).float().mean()
        return self.matched(z_a, z_b, apart, matches), self.matched(z_a, z_b, unlike, matches), touching

    def matched(self, z_a: Tensor, z_b: Tensor, distance: Tensor, matches: int) -> Tensor:
        """Mean over both directions of VICReg's loss on the nearest pairs, each rank with its own statistics."""
        c, losses = self.config, []
        for one, other, apart in ((z_a, z_b, distance), (z_b, z_a, distance.mT)):
            pairs = nearest_pairs(apart, matches)
            terms = vicreg_terms(take(one, pairs.first), take(other, pairs.second), c.gamma, c.eps)
            losses.append(c.sim * terms.invariance + c.var * terms.variance + c.cov * 0.5 * terms.covariance)
        return mean_of(losses)

    def trivial(self, batch: int) -> float:
        """Constant embeddings: only the variance hinges are left."""
        c = self.config
        return float(c.var * (c.gamma - c.eps**0.5) * (c.alpha + 2 * (1 - c.alpha)))
