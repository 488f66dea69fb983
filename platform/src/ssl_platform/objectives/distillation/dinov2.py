"""DINOv2: iBOT with a head of its own for patches, balanced teacher assignments and spread-out student features.

Departures from the published code: which crops are masked, and how much, is drawn sample by sample (systematically over
its crops, so that with the defaults exactly half of all crops are masked) rather than spread over a rank's batch;
KoLeo's neighbours are those of the global batch; heads see a fixed number of tokens a crop, padded, of which only the
masked ones count. Stochastic depth, layer scale and registers are settings of the backbone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from ssl_platform.distributed import global_mean
from ssl_platform.losses.entropy import koleo
from ssl_platform.losses.precision import widen
from ssl_platform.masking.drawn import drawn_masks
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.clustering import sinkhorn
from ssl_platform.nn.validity import zero_invalid
from ssl_platform.objectives.base import Player, objective
from ssl_platform.objectives.distillation.ibot import IBOT, IBOTConfig
from ssl_platform.objectives.settings import LocalCrops, Momentum, Positive, Prototypes, Size, Weight
from ssl_platform.plan import Plan
from ssl_platform.types import Features, Loss, Mask, Tokens, View


class DINOv2Config(IBOTConfig):
    """Settings of DINOv2, those of its large models."""

    prototypes: Prototypes = 131072
    bottleneck: Size = Field(384, description="dimensions of the views' head before the prototypes")
    shared_head: bool = Field(False, description="one head for views and patches")
    momentum: Momentum = 0.994
    local_crops: LocalCrops = 8
    balance: Literal["sinkhorn", "centre"] = Field(
        "sinkhorn", description="how teacher outputs are kept apart: equal use of prototypes, or centring as in DINO"
    )
    sinkhorn_iterations: Size = Field(3, description="Sinkhorn-Knopp iterations")
    koleo_weight: Weight = Field(0.1, description="weight of KoLeo on each global crop's student features")
    patch_embed_lr: Positive = Field(0.2, description="multiplier of the tokenizer's learning rate")


@objective(
    "dinov2",
    needs=lambda c: Plan.multi_crop(c.local_crops, offers=("tokens", "mask_token"), batch_coupled=True, min_batch=2),
    paper="Oquab et al.: DINOv2: Learning Robust Visual Features without Supervision, TMLR 2024, arXiv:2304.07193, "
    "section 4",
)
class DINOv2(IBOT):
    """Self-distillation of views and masked tokens with untied heads, Sinkhorn-Knopp and KoLeo."""

    Config = DINOv2Config

    def players(self, backbone: Backbone) -> list[Player]:
        """Everything, the tokenizer at a lower learning rate."""
        (everything,) = super().players(backbone)
        tokenizer = set() if backbone.tokenizer is None else set(backbone.tokenizer.parameters())
        rest = [p for p in everything.parameters if p not in tokenizer]
        embed = [p for p in everything.parameters if p in tokenizer]
        lower = [Player("patch_embed", embed, lr=self.config.patch_embed_lr)] if embed else []
        return [Player("main", rest), *lower]

    def probabilities(self, logits: Tensor, centre: Tensor, temperature: Tensor, valid: Tensor | None = None) -> Tensor:
        """Assignments that use every prototype equally over all ranks' valid rows, or centred ones."""
        c = self.config
        if c.balance == "centre" or not c.centring:
            return super().probabilities(logits, centre, temperature, valid)
        return sinkhorn(widen(logits) / temperature, 1.0, c.sinkhorn_iterations, valid=valid)

    def masks(self, tokens: Tokens, crops: View, count: int) -> Mask:
        """Systematic draws over a sample's crops: one uniform number, moved by `1 / count` from crop to crop.

        A crop is masked where its number is below the probability, and takes its ratio from it; each alone is drawn as
        in iBOT.
        """
        c, draws = self.config, crops.random
        (low, high), batch = c.mask_ratio, len(crops) // count
        start = draws.select(slice(0, batch)).uniform("mask/share")
        place = torch.cat([(start + crop / count) % 1.0 for crop in range(count)])
        ratio = (low + (high - low) * place / max(c.mask_probability, 1e-6)) * (place < c.mask_probability)
        return drawn_masks(tokens, ratio, high, draws, block=c.mask_shape == "block")

    def patch_targets(self, whole: Features, mask: Mask) -> tuple[Tensor, Tensor]:
        """The teacher's distributions at the masked tokens, and the mean of its logits over them."""
        assert whole.tokens is not None and mask.valid is not None
        logits = self.teacher.head(self.patch_head_name, mask.gather(whole.tokens))
        mean = global_mean(zero_invalid(logits, mask.valid).sum(dim=(0, 1)), mask.valid.sum())
        centre = self.centre_in_use(self.patch_centre, mean)
        return self.probabilities(logits, centre, self.patch_temperature, mask.valid), mean

    def regularised(self, loss: Loss, features: Sequence[Tensor]) -> Loss:
        """The loss with KoLeo, summed over the global crops; never between crops of one sample."""
        spread = torch.stack([koleo(f) for f in features]).sum()
        return Loss(loss.total + self.config.koleo_weight * spread, {**loss.terms, "koleo": spread}, loss.watch)
