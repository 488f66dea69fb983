"""V-JEPA: predict the teacher's features of large space-time blocks from the rest, under two types of mask.

Departures from the published code: the union of a type's blocks has an exact number of tokens, which is its expected
share when blocks fall independently, so nothing is cut to the smallest sample of a batch (the published collator sorts
and cuts, and the end of a clip is hardly ever seen or predicted); blocks wrap around the grid; on grids of rank 3 they
run through the whole first axis (time, or depth), on lines, planes and sets they are ordinary blocks.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ssl_platform.draws import Draws
from ssl_platform.losses.masked import masked_mean, smooth_l1_tokens
from ssl_platform.masking.block import block_masks
from ssl_platform.masking.mask import Split
from ssl_platform.masking.tube import tube_masks
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.told_predictor import TypedPredictor
from ssl_platform.objectives.base import Export, Objective, ObjectiveConfig, objective
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
from ssl_platform.plan import Plan
from ssl_platform.schedules import linear
from ssl_platform.types import Loss, Step, Tokens, Views


class VJEPAConfig(ObjectiveConfig):
    """Settings of V-JEPA."""

    blocks: tuple[Size, ...] = Field((8, 2), description="blocks of each type of mask (short and long range)")
    scales: tuple[MaskRatio, ...] = Field((0.15, 0.7), description="share of the places a block of each type covers")
    aspect: tuple[Positive, Positive] = Field((0.75, 1.5), description="aspect ratio of blocks")
    predictor_dim: PredictorDim = 384
    predictor_depth: PredictorDepth = 12
    predictor_heads: PredictorHeads = 12
    momentum: Momentum = Field(0.998, description="of the teacher's moving average at the start; rises linearly to 1")

    @model_validator(mode="after")
    def _one_scale_a_type(self) -> VJEPAConfig:
        if len(self.blocks) != len(self.scales) or not self.blocks:
            raise ValueError(f"blocks={self.blocks} and scales={self.scales} must give one number a type of mask each")
        return self


@objective(
    "v-jepa",
    needs=Plan.single(offers=("tokens", "drop")),
    paper="Bardes et al.: Revisiting Feature Prediction for Learning Visual Representations from Video, TMLR 2024, "
    "arXiv:2404.08471, eq. 1",
)
class VJEPA(Objective):
    """Predict, in feature space and with an L1 loss, large masked blocks of a clip (or volume) from what is left."""

    Config = VJEPAConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the predictor and the teacher."""
        assert backbone.tokenizer is not None
        c = self.config
        self.predictor = TypedPredictor(
            backbone.embed_dim,
            c.predictor_dim,
            c.predictor_depth,
            c.predictor_heads,
            types=len(c.blocks),
            kinds=backbone.tokenizer.kinds,
            steps=backbone.steps,
        )
        self.teacher = Teacher(backbone)

    def masks(self, tokens: Tokens, draws: Draws) -> list[Split]:
        """What is visible and what is predicted, for each type of mask."""
        found = []
        for number, (blocks, scale) in enumerate(zip(self.config.blocks, self.config.scales, strict=True)):
            ratio, own = 1 - (1 - scale) ** blocks, draws.child(f"mask type {number}")
            if tokens.grid is not None and len(tokens.grid) == 3:
                found.append(
                    tube_masks(tokens, ratio, own, policy=block_masks, blocks=blocks, aspect=self.config.aspect)
                )
            else:
                found.append(block_masks(tokens, ratio, own, blocks=blocks, aspect=self.config.aspect))
        return found

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean L1 error over masked tokens and samples, then over types of mask."""
        view = views[0]
        tokens = backbone.tokenize(view)
        target, full = teacher_tokens(self.teacher, view)
        losses = []
        for number, (visible, masked) in enumerate(self.masks(tokens, view.random)):
            features = backbone.encode(tokens, visible)
            prediction = self.predictor.of_type(
                number,
                features,
                masked.gather(tokens.coords),
                valid=masked.valid,
                **kinds(tokens, visible, masked),
            )
            error = smooth_l1_tokens(prediction, masked.gather(target), beta=0.0)
            losses.append(masked_mean(error, masked.valid))
        terms = {f"masks{number}": loss for number, loss in enumerate(losses)}
        watch = {"embedding": full.pooled, "prediction": prediction.detach().flatten(0, -2)}
        return Loss(torch.stack(losses).mean(), terms, watch)

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Move the teacher; its momentum rises linearly to 1."""
        self.teacher.update(backbone, {}, linear(self.config.momentum, 1.0, step.progress))

    def export(self, backbone: Backbone) -> Export:
        """The teacher's backbone; the predictor goes along."""
        return Export(encoder=self.teacher.backbone, parts={"predictor": self.predictor})
