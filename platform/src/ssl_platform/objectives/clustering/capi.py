"""CAPI: predict, at masked places, to which online cluster the teacher's feature of that place belongs.

Departures from the published code: codes are balanced over the global batch whatever the number of processes; the
visible block wraps around on any grid, and on point sets, whose tokens have no fixed places, and unlike channels codes
are balanced over all tokens together; positions of the predictor are added to its queries, not rotated into attention.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.losses.clustering import soft_cross_entropy
from ssl_platform.losses.masked import masked_mean
from ssl_platform.masking.inverse_block import inverse_block_masks
from ssl_platform.masking.random import subsample
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.clustering import sinkhorn
from ssl_platform.nn.heads import WeightNormLinear
from ssl_platform.nn.predictor import CrossPredictor
from ssl_platform.objectives.base import Export, Objective, ObjectiveConfig, Player, objective, trainable
from ssl_platform.objectives.settings import (
    MaskRatio,
    Momentum,
    Positive,
    PredictorDepth,
    PredictorDim,
    PredictorHeads,
    Prototypes,
    Size,
)
from ssl_platform.objectives.teacher import Teacher
from ssl_platform.plan import Plan
from ssl_platform.schedules import cosine
from ssl_platform.types import Loss, Step, Views

FEWEST = 8  # places predicted a sample, as the published share makes of 256 tokens


class CAPIConfig(ObjectiveConfig):
    """Settings of CAPI."""

    prototypes: Prototypes = 16384
    mask_ratio: MaskRatio = 0.65
    predicted: float = Field(
        0.05, gt=0, le=1, description=f"share of the masked tokens that is predicted; at least {FEWEST} of them"
    )
    student_temperature: Positive = Field(0.12, description="temperature of the predictions and of the clustering")
    target_temperature: Positive = Field(0.06, description="temperature of the codes")
    sinkhorn_iterations: Size = Field(3, description="Sinkhorn-Knopp iterations")
    balanced: bool = Field(True, description="equal use of prototypes; without it codes collapse: for controls only")
    predictor_dim: PredictorDim = 1024
    predictor_depth: PredictorDepth = 12
    predictor_heads: PredictorHeads = 16
    momentum: Momentum = 0.999
    clustering_lr: Positive = Field(0.5, description="learning rate of the prototypes as a multiple of the run's")
    tokenizer_lr: Positive = Field(0.2, description="learning rate of the patch embedding as a multiple of the run's")


@objective(
    "capi",
    needs=Plan.single(offers=("tokens", "drop"), batch_coupled=True, min_batch=2),
    paper="Darcet, Baldassarre, Oquab, Mairal, Bojanowski: Cluster and Predict Latent Patches for Improved Masked "
    "Image Modeling, TMLR 2025, arXiv:2502.08769",
)
class CAPI(Objective):
    """Cluster a momentum teacher's tokens online, and predict the clusters of masked tokens from a visible block."""

    Config = CAPIConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the teacher, its prototypes, the predictor and its head."""
        c = self.config
        assert backbone.tokenizer is not None
        self.teacher = Teacher(backbone)
        self.clusters = WeightNormLinear(backbone.embed_dim, c.prototypes)
        self.predictor = CrossPredictor(
            backbone.embed_dim,
            c.predictor_dim,
            c.predictor_depth,
            c.predictor_heads,
            kinds=backbone.tokenizer.kinds,
            steps=backbone.steps,
        )
        self.head = WeightNormLinear(backbone.embed_dim, c.prototypes)

    def players(self, backbone: Backbone) -> list[Player]:
        """The student, its patch embedding, and the clustering, each with its own learning rate."""
        assert backbone.tokenizer is not None
        tokens = trainable([backbone.tokenizer])
        own = {id(p) for p in tokens}
        student = [p for p in trainable([backbone, self.predictor, self.head]) if id(p) not in own]
        return [
            Player("student", student),
            Player("tokenizer", tokens, lr=self.config.tokenizer_lr),
            Player("clustering", trainable([self.clusters]), lr=self.config.clustering_lr),
        ]

    def codes(self, scores: Tensor, valid: Tensor | None, per_position: bool) -> Tensor:
        """`[B, N, K]` targets from similarities of that shape, without gradient; zero where invalid."""
        c = self.config
        if c.balanced:
            return sinkhorn(scores, c.target_temperature, c.sinkhorn_iterations, per_position=per_position, valid=valid)
        codes = (scores.detach() / c.target_temperature).softmax(dim=-1)
        return codes if valid is None else codes.masked_fill(~valid[..., None], 0.0)

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Cross-entropy of the clustering with its balanced codes, and of predictions with their places' codes."""
        c, view = self.config, views[0]
        with torch.no_grad():
            full = self.teacher.backbone(view)
        assert full.tokens is not None
        scores = self.clusters(F.normalize(full.tokens, dim=-1))  # [B, N, K]
        codes = self.codes(scores, full.valid, per_position=full.grid is not None)
        clustering = soft_cross_entropy(scores, codes, c.student_temperature, full.valid)

        tokens = backbone.tokenize(view)
        visible, masked = inverse_block_masks(tokens, c.mask_ratio, view.random)
        hidden = masked.index.shape[1]
        asked = subsample(masked, min(hidden, max(FEWEST, round(c.predicted * hidden))), view.random)
        kind, seen = (None if tokens.kind is None else mask.gather(tokens.kind) for mask in (asked, visible))
        features = backbone.encode(tokens, visible)
        predicted = self.predictor(features, asked.gather(tokens.coords), context_kind=seen, kind=kind)
        target = asked.gather(codes)
        student = soft_cross_entropy(
            self.head(F.normalize(predicted, dim=-1)), target, c.student_temperature, asked.valid
        )

        doubt = masked_mean(-torch.xlogy(codes, codes).sum(dim=-1), full.valid)
        return Loss(
            student + clustering,
            terms={"student": student, "clustering": clustering, "target_entropy": doubt},
            watch={"embedding": full.pooled, "teacher_probs": target.flatten(0, 1)},
        )

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Move the teacher; its momentum rises to 1 along a cosine."""
        self.teacher.update(backbone, {}, cosine(self.config.momentum, 1.0, step.progress))

    def export(self, backbone: Backbone) -> Export:
        """The teacher's backbone, with the predictor and the prototypes."""
        return Export(encoder=self.teacher.backbone, parts={"predictor": self.predictor, "clusters": self.clusters})

    def trivial(self, batch: int) -> float:
        """`2 ln K`: uniform scores in both terms."""
        return 2 * math.log(self.config.prototypes)
