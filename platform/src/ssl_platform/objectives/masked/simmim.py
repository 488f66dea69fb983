"""SimMIM: a learnt vector replaces masked units, the whole grid is encoded, one linear layer predicts raw content.

The linear layer is the published 1x1 convolution and pixel shuffle, computed at masked tokens only. Departures from the
published code: any rank and channel count, the loss divides by the number of masked valid values of all ranks (without
the added 1e-5), and views too small for six units along an axis have smaller units.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field
from torch import nn

from ssl_platform.losses.masked import masked_error, normalised_patches
from ssl_platform.masking.mask import Split
from ssl_platform.masking.random import random_masks
from ssl_platform.masking.unit import unit_masks, unit_tokens
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.patches import grid_of
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.masked.replaced import ReplacedPrediction
from ssl_platform.objectives.masked.visible import content_loss
from ssl_platform.objectives.settings import MaskRatio, Size
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, Tokens, View, Views


@objective(
    "simmim",
    needs=Plan.single(offers=("tokens", "mask_token")),
    paper="Xie et al.: SimMIM: A Simple Framework for Masked Image Modeling, CVPR 2022, arXiv:2111.09886",
)
class SimMIM(Objective):
    """Regress the raw content of masked units with a linear head (Chamfer distance on point sets)."""

    class Config(ObjectiveConfig):
        """Settings of SimMIM."""

        mask_ratio: MaskRatio = 0.6
        mask_unit: Size = Field(32, description="cells of a masked unit along each axis, at most a sixth of the view")
        loss: Literal["l1", "l2"] = Field("l1", description="absolute or squared error of a value")
        norm_pix: bool = Field(False, description="whether each target patch is normalised, as MAE's")

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the mask token and the linear decoder."""
        assert backbone.tokenizer is not None
        self.prediction = ReplacedPrediction(backbone.embed_dim, backbone.tokenizer.target_dim)

    def mask(self, backbone: Backbone, tokens: Tokens, view: View) -> Split:
        """Random units of a grid; random tokens of a set."""
        assert backbone.tokenizer is not None
        c, patch = self.config, backbone.tokenizer.patch
        if patch is None:
            return random_masks(tokens, c.mask_ratio, view.random)
        grid = grid_of(view.x.shape[2:], patch)
        return unit_masks(tokens, c.mask_ratio, view.random, unit_tokens(c.mask_unit, patch, grid), grid)

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean error over masked values."""
        assert backbone.tokenizer is not None
        view, c = views[0], self.config
        tokens = backbone.tokenize(view)
        masked = self.mask(backbone, tokens, view).masked
        prediction, features = self.prediction(backbone, tokens, masked)
        watch = {"embedding": features.pooled}

        if backbone.tokenizer.patch is None:
            return Loss(content_loss(backbone, view, prediction, masked), watch=watch)
        target, valid = masked.gather(backbone.targets(view)), backbone.target_valid(view)
        valid = None if valid is None else masked.gather(valid)
        target = normalised_patches(target, valid) if c.norm_pix else target
        return Loss(masked_error(prediction, target, masked.valid, valid, squared=c.loss == "l2"), watch=watch)
