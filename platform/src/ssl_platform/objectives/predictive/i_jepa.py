"""I-JEPA: predict the teacher's features of target blocks from one context block.

Departures from the published code: blocks have no position bias (the published collator never reaches the last row and
column and truncates sorted lists), the context is subsampled at random, and batch size never changes how many tokens a
sample predicts.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.losses.masked import masked_mean, smooth_l1_tokens
from ssl_platform.masking.multi_block import multi_block_masks
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.predictor import TokenPredictor
from ssl_platform.objectives.base import Export, Objective, ObjectiveConfig, objective
from ssl_platform.objectives.settings import (
    Momentum,
    Positive,
    PredictorDepth,
    PredictorDim,
    PredictorHeads,
    Range,
    Size,
)
from ssl_platform.objectives.teacher import Teacher
from ssl_platform.plan import Plan
from ssl_platform.schedules import linear
from ssl_platform.types import Loss, Step, Views


@objective(
    "i-jepa",
    needs=Plan.single(offers=("tokens", "drop")),
    paper="Assran et al.: Self-Supervised Learning from Images with a Joint-Embedding Predictive Architecture, "
    "CVPR 2023, arXiv:2301.08243, eq. 1",
)
class IJEPA(Objective):
    """Predict, in feature space, several target blocks from a context block of the same view."""

    class Config(ObjectiveConfig):
        """Settings of I-JEPA."""

        targets: Size = Field(4, description="target blocks a sample")
        target_scale: Range = Field((0.15, 0.2), description="fraction of the tokens a target block covers")
        target_aspect: tuple[Positive, Positive] = Field((0.75, 1.5), description="aspect ratio of target blocks")
        context_scale: Range = Field((0.85, 1.0), description="fraction of the tokens the context block covers")
        predictor_dim: PredictorDim = 384
        predictor_depth: PredictorDepth = 6
        predictor_heads: PredictorHeads = 12
        momentum: Momentum = 0.996

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the predictor and the teacher."""
        c = self.config
        self.predictor = TokenPredictor(
            backbone.embed_dim, c.predictor_dim, c.predictor_depth, c.predictor_heads, steps=backbone.steps
        )
        self.teacher = Teacher(backbone)

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean smooth-L1 error over target tokens, targets and samples."""
        view, c = views[0], self.config
        tokens = backbone.tokenize(view)
        context, targets = multi_block_masks(
            tokens, view.random, c.targets, c.target_scale, c.target_aspect, c.context_scale
        )
        with torch.no_grad():
            teacher = self.teacher.backbone
            full = teacher.encode(teacher.tokenize(view))
            assert full.tokens is not None
            target = targets.gather(F.layer_norm(full.tokens, full.tokens.shape[-1:]))

        features = backbone.encode(tokens, context)
        prediction = self.predictor(features, targets.gather(tokens.coords), valid=targets.valid)
        loss = masked_mean(smooth_l1_tokens(prediction, target), targets.valid)
        watch = {"embedding": full.pooled, "prediction": prediction.detach().flatten(0, -2)}
        return Loss(loss, watch=watch)

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Move the teacher; its momentum rises linearly to 1."""
        self.teacher.update(backbone, {}, linear(self.config.momentum, 1.0, step.progress))

    def export(self, backbone: Backbone) -> Export:
        """The teacher's backbone."""
        return Export(encoder=self.teacher.backbone, parts={"predictor": self.predictor})
