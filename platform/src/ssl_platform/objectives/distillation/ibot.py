"""iBOT: DINO, and at masked tokens of the student's global crops the teacher's distribution of the unmasked crop.

Departures from the published code: block masks have exactly the number of tokens that was drawn and no position bias,
both centres are buffers that start at the first batch's mean and follow the mean over all valid tokens, micro-batches
and ranks, and the student's head sees only masked tokens (it is the same function of each).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.distributed import global_mean
from ssl_platform.losses.distillation import masked_distillation
from ssl_platform.masking.drawn import drawn_masks
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import DINOHead
from ssl_platform.nn.validity import zero_invalid
from ssl_platform.objectives.base import objective
from ssl_platform.objectives.distillation.dino import DINO, DINOConfig
from ssl_platform.objectives.embedding import mean_of, pooled
from ssl_platform.objectives.settings import LocalCrops, Positive, Prototypes, Range, Size, Weight
from ssl_platform.plan import Plan
from ssl_platform.types import Features, Loss, Mask, Step, Tokens, View, Views


class IBOTConfig(DINOConfig):
    """Settings of iBOT."""

    prototypes: Prototypes = 8192
    learn_gain: bool = Field(True, description="the prototypes' lengths are learnt too, which is less stable")
    temperature_warmup: str = Field("30ep", description="its warm-up: steps, epochs (30ep) or part of the run (30%)")
    local_crops: LocalCrops = 10
    patch_teacher_temperature: tuple[Positive, Positive] = Field(
        (0.04, 0.07), description="temperature of the teacher's softmax over patches, as `teacher_temperature`"
    )
    patch_centre_momentum: float = Field(0.9, ge=0, lt=1, description="of the moving average of the patches' centre")
    shared_head: bool = Field(True, description="one head for views and patches")
    patch_bottleneck: Size = Field(256, description="dimensions of the patches' own head before the prototypes")
    mask_probability: float = Field(0.5, ge=0, le=1, description="share of the global crops that are masked at all")
    mask_ratio: Range = Field((0.1, 0.5), description="fraction of a masked crop's tokens that is hidden")
    mask_shape: Literal["block", "random"] = Field("block", description="blocks, or tokens anywhere")
    view_weight: Weight = Field(1.0, description="weight of DINO's loss over views")
    patch_weight: Weight = Field(1.0, description="weight of the loss at masked tokens")


@objective(
    "ibot",
    needs=lambda c: Plan.multi_crop(c.local_crops, offers=("tokens", "mask_token")),
    paper="Zhou et al.: iBOT: Image BERT Pre-Training with Online Tokenizer, ICLR 2022, arXiv:2111.07832, eq. 1-3",
)
class IBOT(DINO):
    """DINO's self-distillation of views together with that of masked tokens, through one head."""

    Config = IBOTConfig
    patch_centre: Tensor
    patch_temperature: Tensor

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make heads, teacher, both centres and the mask token, which only the student has."""
        super().build(backbone, models)
        self.mask_token = nn.Parameter(torch.zeros(backbone.embed_dim))
        self.register_buffer("patch_centre", torch.zeros(self.config.prototypes))
        self.register_buffer("patch_temperature", torch.tensor(self.config.patch_teacher_temperature[0]))

    def add_heads(self, backbone: Backbone) -> None:
        """DINO's head, and a second one where patches have their own."""
        super().add_heads(backbone)
        if not self.config.shared_head:
            self.patch_head = self.new_head(backbone.embed_dim, self.config.patch_bottleneck)

    def heads(self) -> dict[str, DINOHead]:
        """The student's heads by the names the teacher knows them by."""
        return super().heads() if self.config.shared_head else {**super().heads(), "patch_head": self.patch_head}

    def before_step(self, step: Step) -> None:
        """Warm up both of the teacher's temperatures."""
        super().before_step(step)
        self.patch_temperature.fill_(self.warm(self.config.patch_teacher_temperature, step))

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """DINO's loss with masked global crops, and the cross-entropy at their masked tokens."""
        c, count = self.config, len(views["global"])
        crops = View.cat(views["global"])
        tokens = backbone.tokenize(crops)
        mask = self.masks(tokens, crops, count)
        with torch.no_grad():
            whole = self.teacher.backbone(crops)
            probs, mean = self.view_targets(whole.pooled.chunk(count))
            patch_probs, patch_mean = self.patch_targets(whole, mask)

        masked = backbone.encode(tokens, replaced=mask, mask_token=self.mask_token)
        assert masked.tokens is not None
        features = [*masked.pooled.chunk(count), *pooled(backbone, views[count:])]
        view_loss = self.view_loss(features, probs)
        scores = self.heads()[self.patch_head_name](mask.gather(masked.tokens))
        patch_loss = masked_distillation(scores, patch_probs, c.student_temperature, mask.valid)
        loss = Loss(
            c.view_weight * view_loss + c.patch_weight * patch_loss,
            terms={"view": view_loss, "patch": patch_loss},
            watch={
                "embedding": mean_of(features[:count]),
                "teacher_probs": mean_of(probs),
                "teacher_mean": mean,
                "patch_mean": patch_mean,
            },
        )
        return self.regularised(loss, features[:count])

    def regularised(self, loss: Loss, features: Sequence[Tensor]) -> Loss:
        """The loss with terms on the student's `[B, D]` features of each global crop: none in iBOT."""
        return loss

    @property
    def patch_head_name(self) -> str:
        """Which head patches go through."""
        return "head" if self.config.shared_head else "patch_head"

    def masks(self, tokens: Tokens, crops: View, count: int) -> Mask:
        """The masked tokens of the joined global crops: each crop draws whether it is masked, and how much.

        Args:
            tokens: of the crops.
            crops: `count` global crops of every sample, joined crop by crop.
            count: of them.
        """
        (low, high), draws = self.config.mask_ratio, crops.random
        ratio = draws.uniform("mask/ratio", low=low, high=high)
        ratio = ratio * draws.chance("mask/any", self.config.mask_probability)
        return drawn_masks(tokens, ratio, high, draws, block=self.config.mask_shape == "block")

    def patch_targets(self, whole: Features, mask: Mask) -> tuple[Tensor, Tensor]:
        """The teacher's distributions at the masked tokens, and the mean of its logits over all tokens.

        Args:
            whole: the teacher's features of the unmasked crops.
            mask: `[B, M]` masked tokens.

        Returns:
            `[B, M, K]` probabilities, and `[K]`: this rank's share of the mean over all ranks' valid tokens.
        """
        assert whole.tokens is not None
        logits = self.teacher.head(self.patch_head_name, whole.tokens)
        valid = torch.ones(logits.shape[:2], dtype=torch.bool, device=logits.device)
        valid = valid if whole.valid is None else whole.valid
        mean = global_mean(zero_invalid(logits, valid).sum(dim=(0, 1)), valid.sum())
        centre = self.centre_in_use(self.patch_centre, mean)
        return self.probabilities(mask.gather(logits), centre, self.patch_temperature, mask.valid), mean

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Move the teacher and both centres."""
        super().after_step(step, backbone, watch, views)
        self.move(self.patch_centre, [w["patch_mean"] for w in watch], self.config.patch_centre_momentum, step)

    def trivial(self, batch: int) -> float:
        """`ln K` of the views, and of the patches of the crops that are masked."""
        c = self.config
        return (c.view_weight + c.patch_weight * c.mask_probability) * math.log(c.prototypes)
