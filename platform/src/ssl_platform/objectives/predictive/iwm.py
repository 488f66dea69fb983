"""IWM: predict the teacher's features of a differently lit view, told how it was changed: a world model of intensities.

Source and target share a crop; the target has its own draw of the mild intensity changes, the source also the
destructive ones (blur, noise, dropped channels, cut-outs). Departures from the paper: the action is the difference of
every recorded parameter of the domain's own operations, scaled by its running root mean square; the union of the blocks
has an exact number of tokens; errors are averaged over features, where the paper sums them. Only the paper's feature
conditioning is here, not that by further tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.distributed import all_mean
from ssl_platform.losses.masked import masked_error
from ssl_platform.masking.block import block_masks
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.predictor import TokenPredictor
from ssl_platform.nn.told_predictor import ActionPredictor
from ssl_platform.objectives.base import Export, Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import mean_of
from ssl_platform.objectives.predictive.action import action_of
from ssl_platform.objectives.predictive.target import kinds, teacher_tokens
from ssl_platform.objectives.settings import (
    MaskRatio,
    Momentum,
    Positive,
    PredictorDepth,
    PredictorDim,
    PredictorHeads,
    Size,
)
from ssl_platform.objectives.teacher import Teacher
from ssl_platform.plan import Plan, ViewSpec
from ssl_platform.schedules import linear
from ssl_platform.types import Features, Loss, Mask, Step, Tokens, Views

DESTRUCTIVE = ("blur", "channel-drop", "cutout", "noise")
LARGEST, MEMORY = 5.0, 0.99  # of a scaled action, and of the scale's moving average


class IWMConfig(ObjectiveConfig):
    """Settings of IWM (those of its equivariant models)."""

    blocks: Size = Field(4, description="blocks hidden from the source")
    scale: MaskRatio = Field(0.175, description="share of the tokens a block covers (0.15 to 0.2)")
    aspect: tuple[Positive, Positive] = Field((0.75, 1.5), description="aspect ratio of blocks")
    conditioning: bool = Field(True, description="whether the predictor is told the action; without it features become "
                               "invariant")  # fmt: skip
    actions: Size = Field(128, description="most numbers of an action; those not drawn stay zero")
    predictor_dim: PredictorDim = 384
    predictor_depth: PredictorDepth = 18
    predictor_heads: PredictorHeads = 12
    momentum: Momentum = Field(0.996, description="of the teacher's moving average at the start; rises linearly to 1")


@objective(
    "iwm",
    needs=Plan(
        views=(ViewSpec("source"), ViewSpec("target", like="source", off=DESTRUCTIVE)),
        offers=("tokens", "drop"),
        grid=True,
    ),
    paper="Garrido, Assran, Ballas, Bardes, Najman, LeCun: Learning and Leveraging World Models in Visual "
    "Representation Learning, 2024, arXiv:2403.00504, eq. 1",
)
class IWM(Objective):
    """Predict the features of masked tokens of a view under another, known, draw of intensity changes."""

    Config = IWMConfig
    square: Tensor

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the predictor, the scale of actions and the teacher."""
        assert backbone.tokenizer is not None
        c = self.config
        inside: dict[str, Any] = {"kinds": backbone.tokenizer.kinds, "steps": backbone.steps}
        width = (backbone.embed_dim, c.predictor_dim, c.predictor_depth, c.predictor_heads)
        self.predictor: TokenPredictor = (
            ActionPredictor(*width, actions=c.actions, **inside) if c.conditioning else TokenPredictor(*width, **inside)
        )
        self.register_buffer("square", torch.ones(c.actions))
        self.teacher = Teacher(backbone)

    def scaled(self, action: Tensor) -> Tensor:
        """`[B, A]` actions in units of their running root mean square."""
        return (action * (self.square + 1e-12).rsqrt()).clamp(-LARGEST, LARGEST)

    def predict(self, features: Features, tokens: Tokens, visible: Mask, masked: Mask, action: Tensor) -> Tensor:
        """`[B, K, D]` predicted features at the masked tokens, from those of the visible ones and an action."""
        places, known = masked.gather(tokens.coords), {"valid": masked.valid, **kinds(tokens, visible, masked)}
        if isinstance(self.predictor, ActionPredictor):
            return self.predictor.under(self.scaled(action), features, places, **known)
        made: Tensor = self.predictor(features, places, **known)
        return made

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean squared error over masked tokens and features."""
        (source, target), c = views, self.config
        tokens = backbone.tokenize(source)
        ratio = 1 - (1 - c.scale) ** c.blocks
        visible, masked = block_masks(tokens, ratio, source.random, blocks=c.blocks, aspect=c.aspect)
        wanted, full = teacher_tokens(self.teacher, target)
        action = action_of(source, target, c.actions)
        prediction = self.predict(backbone.encode(tokens, visible), tokens, visible, masked, action)
        loss = masked_error(prediction, masked.gather(wanted), masked.valid, squared=True)
        watch = {"embedding": full.pooled, "prediction": prediction.detach().flatten(0, -2)}
        return Loss(loss, watch={**watch, "action_square": action.square().mean(dim=0)})

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Move the scale of actions and the teacher; its momentum rises linearly to 1."""
        square = all_mean(mean_of([w["action_square"] for w in watch]))
        self.square.lerp_(square.to(self.square.dtype), 1.0 if step.step == 0 else 1 - MEMORY)
        self.teacher.update(backbone, {}, linear(self.config.momentum, 1.0, step.progress))

    def export(self, backbone: Backbone) -> Export:
        """The teacher's backbone, and the predictor as a world model of its own."""
        return Export(encoder=self.teacher.backbone, parts={"predictor": self.predictor})

    def trivial(self, batch: int) -> float:
        """Predicting zero for features of unit variance."""
        return 1.0
