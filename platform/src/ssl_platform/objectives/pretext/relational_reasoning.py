"""Relational reasoning: tell whether two augmentations show one and the same sample.

Departures from the published code: the samples that negatives are taken from are those of the global batch, so that
more processes do not change the loss.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.distributed import gather, offset
from ssl_platform.losses.relation import relation_loss
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.norm import GlobalBatchNorm
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import mean_of, pooled
from ssl_platform.objectives.settings import Size, Weight
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, Views


class RelationalConfig(ObjectiveConfig):
    """Settings of relational reasoning."""

    augmentations: Size = Field(32, ge=2, description="augmented views of a sample; pairs grow with their square")
    hidden: Size = Field(256, description="width of the relation head's hidden layer")
    aggregation: Literal["cat", "sum", "mean", "max"] = Field(
        "cat", description="how two features become one; all but cat forget their order"
    )
    focus: Weight = Field(2.0, description="gamma of the focal loss; 0 for plain cross-entropy")
    alpha: float = Field(0.5, gt=0, lt=1, description="weight of the pairs that are the same, in the focal loss")
    negatives: Literal["all", "other-groups"] = Field(
        "all", description="which samples count as others: all, or only those of other groups (patients, scenes)"
    )


@objective(
    "relational-reasoning",
    needs=lambda c: Plan.augmented(c.augmentations, groups=True, batch_coupled=True, min_batch=2),
    paper="Patacchiola, Storkey: Self-Supervised Relational Reasoning for Representation Learning, NeurIPS 2020, "
    "arXiv:2006.05849, eq. 1-5",
)
class RelationalReasoning(Objective):
    """Score pairs of augmentations: of one sample, or of two."""

    Config = RelationalConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the relation head."""
        c = self.config
        width = backbone.embed_dim * (2 if c.aggregation == "cat" else 1)
        self.head = nn.Sequential(
            nn.Linear(width, c.hidden, bias=False),
            GlobalBatchNorm(c.hidden, channel_dim=-1),
            nn.LeakyReLU(),
            nn.Linear(c.hidden, 1),
        )

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean focal loss over `B K (K - 1)` pairs, half of them of one sample."""
        c = self.config
        features = pooled(backbone, views)
        left, right, same, valid = self.pairs(features, views[0].group if c.negatives == "other-groups" else None)
        scores = self.head(self.aggregated(left, right))[:, 0]
        right_answers = ((scores > 0) == same).float().mean()
        loss = relation_loss(scores, same, valid, c.focus, c.alpha)
        return Loss(loss, terms={"accuracy": right_answers}, watch={"embedding": mean_of(features)})

    def pairs(
        self, features: list[Tensor], group: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """All pairs of this rank's samples, as a positive and a negative for each two augmentations.

        The partner of a negative is the sample some places on in the global batch; how many changes from one pair of
        augmentations to the next and is never a whole turn.

        Args:
            features: K tensors `[B, D]`.
            group: `[B]`; negatives of one group do not count.

        Returns:
            Left and right features `[P, D]`, which are the same `[P]` bool, and which count.
        """
        count = len(features[0])
        everyone = gather(torch.stack(features, 1)).unbind(1)  # K tensors [N, D]
        total = len(everyone[0])
        row = torch.arange(count, device=features[0].device) + offset(count)
        groups = None if group is None else gather(group)
        left, right, unlike = [], [], []
        for number, (a, b) in enumerate(itertools.combinations(range(len(features)), 2)):
            partner = (row + 1 + number % (total - 1)) % total
            left += [features[a], features[a]]
            right += [features[b], everyone[b][partner]]
            if group is not None and groups is not None:
                unlike += [torch.ones_like(group, dtype=torch.bool), groups[partner] != group]
        same = torch.arange(len(left), device=row.device).repeat_interleave(count) % 2 == 0
        return torch.cat(left), torch.cat(right), same, torch.cat(unlike) if unlike else None

    def aggregated(self, left: Tensor, right: Tensor) -> Tensor:
        """`[P, 2 D]` side by side, or `[P, D]` summed, averaged or the larger of both."""
        how = self.config.aggregation
        if how == "cat":
            return torch.cat([left, right], dim=1)
        if how == "max":
            return torch.maximum(left, right)
        return left + right if how == "sum" else (left + right) / 2

    def trivial(self, batch: int) -> float:
        """Scores of zero."""
        c = self.config
        return math.log(2) * (0.5 * 0.5**c.focus if c.focus else 1.0)
