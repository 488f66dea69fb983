"""MaskFeat: predict the histogram of oriented gradients of masked blocks, or another feature of the original view.

Departures from the published code: blocks have an exact number of tokens and no position bias, histograms work on
grids of any rank and channel count (`slices` is the published one a frame, summed over a token's frames where the
published one takes the first), and gradients that touch invalid cells count nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.losses.masked import masked_error, normalised_patches
from ssl_platform.masking.block import block_masks
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.frozen import Frozen
from ssl_platform.nn.tokenizer import Tokenizer
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.masked.replaced import ReplacedPrediction
from ssl_platform.objectives.settings import MaskRatio, Positive, Size
from ssl_platform.plan import ModelSpec, Plan
from ssl_platform.targets.hog import cell_of, hog_tokens, hog_width, patch_of
from ssl_platform.types import Loss, View, Views


class MaskFeatConfig(ObjectiveConfig):
    """Settings of MaskFeat."""

    mask_ratio: MaskRatio = 0.4
    blocks: Size = Field(4, description="blocks that share the masked tokens")
    block_aspect: tuple[Positive, Positive] = Field((0.3, 3.3), description="aspect ratio of the blocks")
    target: Literal["hog", "pixels", "features"] = Field(
        "hog", description="gradient histograms, normalised raw content, or the features of a frozen encoder"
    )
    bins: Size = Field(9, description="orientations of a histogram in the plane (2 on a line and 13 in space)")
    cell: Size = Field(8, description="cells of the grid that share a histogram, along each axis; at most a token")
    slices: bool = Field(False, description="gradients along the last two axes only: slice by slice, frame by frame")


def _needs(c: MaskFeatConfig) -> Plan:
    plan = Plan.single(offers=("tokens", "mask_token"), grid=c.target != "features")
    return plan.replace(models=(("teacher", ModelSpec("frozen")),)) if c.target == "features" else plan


@objective(
    "maskfeat",
    needs=_needs,
    paper="Wei, Fan, Xie, Wu, Yuille, Feichtenhofer: Masked Feature Prediction for Self-Supervised Visual "
    "Pre-Training, CVPR 2022, arXiv:2112.09133",
)
class MaskFeat(Objective):
    """Regress a feature of the original view at masked tokens with a linear head."""

    Config = MaskFeatConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the mask token and the head."""
        assert backbone.tokenizer is not None
        c, tokenizer = self.config, backbone.tokenizer
        width = tokenizer.target_dim
        if c.target == "features":
            teacher = models["teacher"]
            assert isinstance(teacher, Frozen)
            self.teacher, width = teacher, teacher.embed_dim
        elif c.target == "hog":
            width = hog_width(tokenizer, self.cell(tokenizer), c.bins, self.axes(tokenizer))
        self.prediction = ReplacedPrediction(backbone.embed_dim, width)

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean squared error over masked values."""
        view, c = views[0], self.config
        tokens = backbone.tokenize(view)
        masked = block_masks(tokens, c.mask_ratio, view.random, blocks=c.blocks, aspect=c.block_aspect).masked
        prediction, features = self.prediction(backbone, tokens, masked)
        target, valid = self.target(backbone, view)
        valid = None if valid is None else masked.gather(valid)
        loss = masked_error(prediction, masked.gather(target), masked.valid, valid, squared=True)
        return Loss(loss, watch={"embedding": features.pooled})

    @torch.no_grad()
    def target(self, backbone: Backbone, view: View) -> tuple[Tensor, Tensor | None]:
        """`[B, N, T]` features of every token of the original view, and which values are real."""
        assert backbone.tokenizer is not None
        c, tokenizer = self.config, backbone.tokenizer
        if c.target == "features":
            tokens = self.teacher(view).tokens
            assert tokens is not None
            return F.layer_norm(tokens, tokens.shape[-1:]), None
        if c.target == "pixels":
            valid = backbone.target_valid(view)
            return normalised_patches(backbone.targets(view), valid), valid
        return hog_tokens(backbone.normalise(view), tokenizer, self.cell(tokenizer), c.bins, self.axes(tokenizer))

    def cell(self, tokenizer: Tokenizer) -> tuple[int, ...]:
        """Cells of the grid that share a histogram."""
        return cell_of(patch_of(tokenizer), self.config.cell)

    def axes(self, tokenizer: Tokenizer) -> int:
        """How many of the last axes are differentiated along."""
        return min(tokenizer.rank, 2) if self.config.slices else tokenizer.rank
