"""PIRL: a view and its shuffled tiles must both match the sample's memory, so features ignore the pretext.

Serves segments of signals, tiles of images and cubes of volumes. Departures from the published code: all other samples
are negatives where there are fewer than asked for; tiles may touch where they have no room to move.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.memory import memory_contrast, memory_softmax
from ssl_platform.losses.precision import widen
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.bank import Bank
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.settings import BankMomentum, HeadNorm, Size, Temperature, Widths
from ssl_platform.plan import Plan, ViewSpec
from ssl_platform.types import Loss, Step, View, Views
from ssl_platform.views.tiles import TileGrid, cut

TILED = (0.6, 1.0)  # share of the window that is cut into tiles


@objective(
    "pirl",
    needs=lambda c: Plan(
        views=(ViewSpec("global"), ViewSpec("tiled", scale=TILED)),
        stable=True,
        grid=True,
        batch_coupled=c.head_norm is not None,
        min_batch=2 if c.head_norm else 1,
    ),
    paper="Misra, van der Maaten: Self-Supervised Learning of Pretext-Invariant Representations, CVPR 2020, "
    "arXiv:1912.01991, eq. 2-5",
)
class PIRL(Objective):
    """Match a sample's memory from its intact view and from its shuffled tiles."""

    remembers = True

    class Config(ObjectiveConfig):
        """Settings of PIRL with tiles."""

        proj_dims: Widths = (128,)
        head_norm: HeadNorm = None
        side: Size = Field(3, ge=2, description="tiles along each axis")
        tile: float = Field(64 / 85, gt=0, le=1, description="share of a part's side its tile takes; the rest is gap")
        share: float = Field(0.5, ge=0, le=1, description="weight of the shuffled tiles against the intact view")
        temperature: Temperature = 0.07
        negatives: Size = Field(32000, description="memories of other samples drawn for each sample, or all there are")
        loss: Literal["nce", "softmax"] = Field("nce", description="as published, or softmax over own and negatives")
        bank_momentum: BankMomentum = 0.5

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the heads of intact views and of tiles, and a random memory."""
        c = self.config
        assert backbone.spec is not None
        self.patch, width = backbone.spec.patch, c.proj_dims[-1]
        self.projector = mlp(backbone.embed_dim, *c.proj_dims, norm=c.head_norm, last_norm=c.head_norm is not None)
        self.tile_projector = mlp(backbone.embed_dim, *c.proj_dims, norm=c.head_norm, last_norm=c.head_norm is not None)
        self.join = nn.Linear(c.side**backbone.spec.layout.rank * width, width)
        self.bank = Bank(self.data.windows, width, random=True)

    @property
    def count(self) -> int:
        """Negatives of a sample."""
        return int(min(self.config.negatives, len(self.bank) - 1))

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """The weighted loss of both against the memory."""
        c = self.config
        features = backbone(views["global"][0]).pooled
        f = F.normalize(widen(self.projector(features)), dim=1)
        g = F.normalize(widen(self.transformed(backbone, views["tiled"][0])), dim=1)
        index = self.candidates(views["global"][0])
        contrast = memory_contrast if c.loss == "nce" else memory_softmax
        with torch.autocast(f.device.type, enabled=False):
            scores = [self.bank.compare(v, index) / c.temperature for v in (g, f)]
        tiled, intact = (contrast(s[:, 0], s[:, 1:]) for s in scores)
        terms = {"tiled": tiled, "intact": intact}
        watch = {"embedding": features, "bank": f, "prediction": g.detach()}
        return Loss(c.share * tiled + (1 - c.share) * intact, terms, watch)

    def transformed(self, backbone: Backbone, view: View) -> Tensor:
        """`[B, D]` embedding of the tiles of a view, put in random order."""
        parts = self.tile_projector(backbone(self.tiles(view)).pooled).unflatten(0, (len(view), -1))  # [B, T, D]
        order = view.random.permutation("order", parts.shape[1])
        joined: Tensor = self.join(parts.gather(1, order[:, :, None].expand_as(parts)).flatten(1))
        return joined

    def tiles(self, view: View) -> View:
        """The tiles of every sample in their true order, as a view of `B * T` samples."""
        grid = TileGrid.over(view.x.shape[2:], self.config.side, self.config.tile, self.patch)
        return cut(view, grid.scattered(view.random), grid.tile)

    def candidates(self, view: View) -> Tensor:
        """`[B, 1 + N]` rows of the memory: the own first, then N of others."""
        assert view.index is not None
        own, others = view.index[:, None], len(self.bank) - 1
        if self.count < others:
            drawn = view.random.integer("negatives", others, self.count)
        else:
            drawn = torch.arange(others, device=own.device).expand(len(own), -1)
        return torch.cat((own, drawn + (drawn >= own)), dim=1)

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Mix the intact views' embeddings into their memories."""
        for seen, made in zip(watch, views, strict=True):
            assert made[0].index is not None
            self.bank.write(made[0].index, seen["bank"], self.config.bank_momentum)

    def trivial(self, batch: int) -> float:
        """All similarities alike: `ln(N + 1)`, and `N ln(1 + 1 / N)` more for the published loss."""
        n = max(1, self.count)
        return math.log(n + 1) + (n * math.log1p(1 / n) if self.config.loss == "nce" else 0.0)
