"""Context prediction: tell on which side of the middle patch another patch of the same view lies.

2 answers on a signal, 8 on an image, 26 in a volume. Departures from the published code: the middle patch lies in the
middle of the view, whose crop is drawn; patches get the mean of their view rather than none, so that the encoder's
normalisation still fits; patches are not blurred; pairs with a patch that shows nothing have no answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.errors import ConfigError
from ssl_platform.losses.supervised import UNKNOWN, masked_cross_entropy
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.pretext.shortcuts import levelled, one_channel, projected
from ssl_platform.objectives.settings import Size
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, View, Views
from ssl_platform.views.constants import constant
from ssl_platform.views.tiles import TileGrid, cut, seen

FRINGES = (-1.0, 2.0, -1.0)  # green against magenta, the direction of a lens' colour fringes


@objective(
    "context-prediction",
    needs=Plan.single(pretext=("shuffle",), batch_coupled=True),
    paper="Doersch, Gupta, Efros: Unsupervised Visual Representation Learning by Context Prediction, ICCV 2015, "
    "arXiv:1505.05192",
)
class ContextPrediction(Objective):
    """Classify where a patch lies relative to another one of the same view."""

    class Config(ObjectiveConfig):
        """Settings of context prediction."""

        gap: float = Field(0.5, ge=0, description="between neighbouring patches, over a patch's side")
        jitter: float = Field(7 / 96, ge=0, description="largest shift of a patch along each axis, over its side")
        pairs: Size = Field(1, description="neighbours of the middle patch in a step, each another one")
        hidden: Size = Field(4096, description="width of the classifier's hidden layers")
        colour: Literal["drop", "project", "keep"] = Field(
            "drop",
            description="against colour fringes: keep one channel of a patch and fill the others with noise, project "
            "green-magenta out of RGB, or do nothing",
        )
        noise: float = Field(0.01, ge=0, description="of dropped channels, over the deviation of the one that is left")

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Lay out the patches, and make the classifier."""
        c = self.config
        assert backbone.spec is not None
        if c.colour == "project" and len(backbone.spec.channels) != 3:
            raise ConfigError(
                f"objective.colour=project is for red, green and blue; the data has {len(backbone.spec.channels)} "
                f"channels: use drop or keep"
            )
        self.grid = TileGrid.over(backbone.spec.size, 3, 1 / (1 + c.gap), backbone.spec.patch)
        self.answers = self.grid.count - 1
        self.head = mlp(2 * backbone.embed_dim, c.hidden, c.hidden, self.answers, norm="batch")

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean cross-entropy over pairs."""
        view = views[0]
        patches, answer = self.patches(view)
        features = backbone(patches).pooled.unflatten(0, (len(view), -1))  # [B, 1 + pairs, D]
        middle, others = features[:, :1].expand(-1, answer.shape[1], -1), features[:, 1:]
        logits = self.head(torch.cat([middle, others], dim=-1).flatten(0, 1))

        shown = seen(patches)
        if shown is not None:
            shown = shown.view(len(view), -1)
            answer = torch.where(shown[:, :1] & shown[:, 1:], answer, UNKNOWN)
        answer = answer.flatten()
        known = answer != UNKNOWN
        correct = ((logits.argmax(1) == answer) & known).sum() / known.sum().clamp_min(1)
        watch = {"embedding": features.mean(1)}
        return Loss(masked_cross_entropy(logits, answer), terms={"accuracy": correct}, watch=watch)

    def patches(self, view: View) -> tuple[View, Tensor]:
        """The middle patch and the drawn neighbours of every sample as a view, and `[B, pairs]` answers.

        Answer k is the k-th place of the 3 x 3 x ... grid in row-major order, the middle left out; the opposite place
        has the opposite answer, counted from the end.
        """
        c, draws = self.config, view.random
        answer = draws.permutation("neighbour", self.answers)[:, : c.pairs]
        middle = self.answers // 2
        place = torch.cat([torch.full_like(answer[:, :1], middle), answer + (answer >= middle).long()], dim=1)
        start = self.grid.centred(view.x.device)[place]  # [B, 1 + pairs, S]
        start = start + self._jitter(view, start)
        whole = projected(view, constant(FRINGES, view.x.device)) if c.colour == "project" else view
        patches = levelled(cut(whole, start, self.grid.tile), whole, deviation=False)
        return (one_channel(patches, whole, draws, c.noise) if c.colour == "drop" else patches), answer

    def _jitter(self, view: View, start: Tensor) -> Tensor:
        """`[B, 1 + pairs, S]` shifts in cells; no patch leaves its part of the view."""
        most = constant(
            tuple(
                float(min(s // 2, round(self.config.jitter * n)))
                for s, n in zip(self.grid.slack, self.grid.tile, strict=True)
            ),
            view.x.device,
        )
        unit = view.random.uniform("jitter", *start.shape[1:])
        return ((unit * (2 * most + 1)).floor().minimum(2 * most) - most).long()

    def trivial(self, batch: int) -> float:
        """`ln K`: all K places alike."""
        return math.log(self.answers)
