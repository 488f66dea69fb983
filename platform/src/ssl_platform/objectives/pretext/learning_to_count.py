"""Learning to count: the counts of a small copy of a view equal the sum of the counts of its tiles.

Departures from the published code: 2 ** S tiles on grids of rank S, the other sample is the next one of the global
batch, and a tile that shows nothing counts nothing. Squared distances are those of whole vectors, as in the paper.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.distributed import gather, offset
from ssl_platform.losses.counting import counting_loss
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import mlp
from ssl_platform.nn.patches import crop
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.pretext.shortcuts import greyed
from ssl_platform.objectives.settings import Positive, Widths
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, View, Views
from ssl_platform.views.tiles import RESIZINGS, TileGrid, cut, halved, seen


@objective(
    "learning-to-count",
    needs=Plan.single(grid=True, batch_coupled=True, min_batch=2),
    paper="Noroozi, Pirsiavash, Favaro: Representation Learning by Learning to Count, ICCV 2017, arXiv:1708.06734, "
    "eq. 4",
)
class LearningToCount(Objective):
    """Counts that no scaling changes and that add up over tiles, unlike those of another sample."""

    class Config(ObjectiveConfig):
        """Settings of learning to count."""

        proj_dims: Widths = (4096, 4096, 1000)
        margin: Positive = Field(10.0, description="squared distance beyond which another sample is far enough")
        grey: float = Field(0.67, ge=0, le=1, description="share of copies whose channels all show their mean")

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the counting head."""
        c = self.config
        self.head = mlp(backbone.embed_dim, *c.proj_dims, norm="batch")
        last = self.head[-1]
        assert isinstance(last, nn.Linear)
        # Squared distances start at about the margin, whatever the number of counts and of tiles.
        assert backbone.spec is not None
        tiles = 2 ** len(backbone.spec.size)
        nn.init.normal_(last.weight, std=4 / tiles * (c.margin / last.weight.numel()) ** 0.5)
        nn.init.zeros_(last.bias)

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean loss over samples."""
        view = views[0]
        small, tiles = self.copies(view)
        features = backbone(View.cat([small, tiles])).pooled
        counts = self.counts(features)
        whole, each = counts[: len(view)], counts[len(view) :]
        shown = seen(tiles)
        if shown is not None:
            each = torch.where(shown[:, None], each, torch.zeros((), dtype=each.dtype, device=each.device))
        parts = each.unflatten(0, (len(view), -1)).sum(1)
        loss = counting_loss(whole, parts, self.others(whole), self.config.margin, seen(small))
        return Loss(loss, terms={"counts": whole.norm(dim=1).mean()}, watch={"embedding": features[: len(view)]})

    def counts(self, features: Tensor) -> Tensor:
        """`[B, C]` counts of at least 0."""
        return F.relu(self.head(features))

    def copies(self, view: View) -> tuple[View, View]:
        """The small copy of every sample `[B]`, and its tiles `[B * 2 ** S]`, all of one size."""
        even = tuple(n // 2 * 2 for n in view.x.shape[2:])
        x, valid = crop(view.x, even), None if view.valid is None else crop(view.valid[:, None], even)[:, 0]
        view = view.replace(x=x, valid=valid, geometry=None)
        grid = TileGrid.over(even, 2)
        grey = view.random.chance("grey", self.config.grey, 1 + grid.count)
        small = halved(view, view.random.integer("resizing", RESIZINGS))
        tiles = cut(view, grid.centred(view.x.device).expand(len(view), -1, -1), grid.tile)
        return greyed(small, grey[:, 0]), greyed(tiles, grey[:, 1:].flatten())

    def others(self, whole: Tensor) -> Tensor:
        """`[B, C]` counts of the next sample of the global batch."""
        everyone = gather(whole)
        row = torch.arange(len(whole), device=whole.device) + offset(len(whole))
        return everyone[(row + 1) % len(everyone)]

    def trivial(self, batch: int) -> float:
        """Counts of zero cost the margin."""
        return float(self.config.margin)
