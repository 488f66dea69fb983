"""RotNet: tell by which quarter turns a view was rotated.

One implementation serves every rank: 4 turns of an image, 10 about the axes of a volume (24 with `turns=cube`), and
the reversal of a signal. Departures from the published code: the turns come from the layout (`Layout.moves`), and those
that its symmetries make alike are one class; turns that would exchange axes of unlike spacing are not asked. Views are
flipped before they are turned, never after.
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
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.settings import Count
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, View, Views
from ssl_platform.views.moves import chosen, told_apart, turns


@objective(
    "rotation",
    needs=Plan.single(pretext=("rot90", "flip")),
    paper="Gidaris, Singh, Komodakis: Unsupervised Representation Learning by Predicting Image Rotations, ICLR 2018, "
    "arXiv:1803.07728, eq. 2-3",
)
class Rotation(Objective):
    """Classify by which quarter turns (or reversals) each copy of a view was rotated."""

    class Config(ObjectiveConfig):
        """Settings of RotNet."""

        turns: Literal["axes", "cube"] = Field(
            "axes", description="of volumes: turns about one axis (10 classes), or all of the cube's (24)"
        )
        copies: Count = Field(0, description="copies of a sample in a step, each turned another way; 0: all turns")

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Find the turns that can be told apart, and make the classifier."""
        assert backbone.spec is not None
        layout = backbone.spec.layout
        self.moves = told_apart(turns(layout, backbone.spec.size, self.config.turns == "cube"), layout)
        if len(self.moves) < 2:
            raise ConfigError(
                f"objective 'rotation': views of {'x'.join(map(str, backbone.spec.size))} cells along "
                f"{' '.join(layout.spatial)} have no turn whose answer can be told: make a plane's sides equal with "
                f"views.global_size, or take another objective"
            )
        self.head = nn.Linear(backbone.embed_dim, len(self.moves))

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean cross-entropy over the turned copies."""
        view = views[0]
        features = backbone(View.cat(self.copies(view))).pooled
        logits, answers = self.head(features), self.answers(view)
        known = answers != UNKNOWN
        correct = ((logits.argmax(1) == answers) & known).sum() / known.sum().clamp_min(1)
        loss = masked_cross_entropy(logits, answers)
        return Loss(loss, terms={"accuracy": correct}, watch={"embedding": features[: len(view)]})

    def copies(self, view: View) -> list[View]:
        """The view under each turn, or under as many as asked, drawn for each sample."""
        drawn = self._drawn(view)
        if drawn is None:
            return [move(view) for move in self.moves]
        return [chosen(view, self.moves, choice) for choice in drawn.unbind(1)]

    def answers(self, view: View) -> Tensor:
        """`[copies * B]` int64 turn of every copy, -1 where a sample shows nothing or the turn is not exact."""
        drawn = self._drawn(view)
        if drawn is None:
            drawn = torch.arange(len(self.moves), device=view.x.device).expand(len(view), -1)
        known = torch.ones_like(drawn, dtype=torch.bool)
        if view.valid is not None:
            known = known & view.valid.flatten(1).any(1)[:, None]
        for number, move in enumerate(self.moves):
            exact = move.exact(view)
            if exact is not None:
                known = known & (exact[:, None] | (drawn != number))
        return torch.where(known, drawn, UNKNOWN).T.flatten()

    def _drawn(self, view: View) -> Tensor | None:
        """`[B, copies]` unlike turns of each sample, or None for all."""
        count = self.config.copies
        if not 0 < count < len(self.moves):
            return None
        return view.random.permutation("rotation", len(self.moves))[:, :count]

    def trivial(self, batch: int) -> float:
        """`ln K`: all K turns alike."""
        return math.log(len(self.moves))
