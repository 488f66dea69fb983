"""Jigsaw: tell in which order the tiles of a view were put.

One implementation serves segments of signals, tiles of images and cubes of volumes. Departures from the published code:
the encoder sees each tile by itself, so tiles are encoded once and their features are put in order, which is the same;
no two tiles touch, even where their jitter would let them; the shifts of single channels against a lens' colour fringes
are left out; samples with a tile that shows nothing have no answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.losses.supervised import UNKNOWN, masked_cross_entropy
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.pretext.permutations import permutation_set
from ssl_platform.objectives.pretext.shortcuts import greyed, levelled
from ssl_platform.objectives.settings import Size
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, View, Views
from ssl_platform.views.tiles import TileGrid, cut, seen


@objective(
    "jigsaw",
    needs=Plan.single(pretext=("shuffle",), batch_coupled=True),
    paper="Noroozi, Favaro: Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles, ECCV 2016, "
    "arXiv:1603.09246",
)
class Jigsaw(Objective):
    """Classify which of a fixed set of permutations the tiles of a view were put in."""

    class Config(ObjectiveConfig):
        """Settings of jigsaw puzzles."""

        side: Size = Field(3, ge=2, description="tiles along each axis")
        tile: float = Field(64 / 85, gt=0, le=1, description="share of a part's side its tile takes; the rest is gap")
        permutations: int = Field(1000, ge=2, description="permutations to choose from")
        hidden: Size = Field(1024, description="width of each tile's features before they are put in order")
        grey: float = Field(0.3, ge=0, le=1, description="share of samples whose channels all show their mean")
        level: bool = Field(True, description="whether all tiles of a sample get the same mean and deviation")

    permutations: Tensor

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Choose the permutations, and make the classifier."""
        c = self.config
        assert backbone.spec is not None
        self.grid = TileGrid.over(backbone.spec.size, c.side, c.tile, backbone.spec.patch)
        self.register_buffer("permutations", permutation_set(self.grid.count, c.permutations))
        self.tile_head = mlp(backbone.embed_dim, c.hidden, norm="batch", last_norm=True)
        self.head = nn.Linear(self.grid.count * c.hidden, len(self.permutations))

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean cross-entropy over samples."""
        view = views[0]
        order, answer = self.puzzle(view)
        tiles = self.tiles(view)
        features = backbone(tiles).pooled
        embedded = F.relu(self.tile_head(features)).unflatten(0, (len(view), -1))  # [B, T, E]
        shuffled = embedded.gather(1, order[:, :, None].expand_as(embedded))
        logits = self.head(shuffled.flatten(1))

        shown = seen(tiles)
        if shown is not None:
            answer = torch.where(shown.view(len(view), -1).all(1), answer, UNKNOWN)
        known = answer != UNKNOWN
        correct = ((logits.argmax(1) == answer) & known).sum() / known.sum().clamp_min(1)
        watch = {"embedding": features.unflatten(0, (len(view), -1)).mean(1)}
        return Loss(masked_cross_entropy(logits, answer), terms={"accuracy": correct}, watch=watch)

    def tiles(self, view: View) -> View:
        """The tiles of every sample in their true order, as a view of `B * T` samples."""
        grey = view.random.chance("grey", self.config.grey)
        view = greyed(view, grey)
        tiles = cut(view, self.grid.scattered(view.random), self.grid.tile)
        return levelled(tiles, view) if self.config.level else tiles

    def puzzle(self, view: View) -> tuple[Tensor, Tensor]:
        """`[B, T]` which tile lies at each place, and `[B]` the number of that permutation."""
        answer = view.random.integer("permutation", len(self.permutations))
        return self.permutations[answer], answer

    def trivial(self, batch: int) -> float:
        """`ln P`: all P permutations alike."""
        return math.log(len(self.permutations))
