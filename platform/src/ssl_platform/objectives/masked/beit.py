"""BEiT: predict the discrete code of each masked token, given by a frozen tokenizer.

The tokenizer is a run of `vq-kd` (with its codebook), or any frozen encoder: its codes are then clusters of its
features, learnt at the start of the run. Departures from the published code: the tokenizer reads the same view at the
same size; blocks wrap around the grid and grow until the number of masked tokens is exact (the published rectangles may
fall short), their outermost shell is cut at random. Relative positions, layer scale and the like are the backbone's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.codes import share_used, token_cross_entropy
from ssl_platform.losses.masked import masked_mean
from ssl_platform.masking.block import block_masks
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.frozen import Frozen
from ssl_platform.objectives.base import Export, Objective, ObjectiveConfig, objective
from ssl_platform.objectives.masked.replaced import ReplacedPrediction
from ssl_platform.objectives.settings import MaskRatio, Positive, Prototypes, Size
from ssl_platform.plan import ModelSpec, Plan
from ssl_platform.schedules import resolve_duration
from ssl_platform.targets.codes import TokenCodes
from ssl_platform.types import Loss, Mask, Step, Tokens, View, Views


class BEiTConfig(ObjectiveConfig):
    """Settings of BEiT."""

    mask_ratio: MaskRatio = Field(0.3826, description="fraction of the tokens that is hidden (75 of 196)")
    blocks: Size = Field(2, description="blocks the masked tokens form")
    block_aspect: tuple[Positive, Positive] = Field((0.3, 3.33), description="range of the ratio of a block's sides")
    prototypes: Prototypes = Field(8192, description="codes, where the tokenizer brings no codebook")
    codebook_time: str = Field("5%", description="how long such a codebook is learnt: steps, epochs or part of the run")
    codebook_decay: float = Field(0.99, ge=0, lt=1, description="of its moving average")


TOKENIZER = (("tokenizer", ModelSpec("frozen")),)


@objective(
    "beit",
    needs=Plan.single(offers=("tokens", "mask_token"), models=TOKENIZER),
    paper="Bao, Dong, Piao, Wei: BEiT: BERT Pre-Training of Image Transformers, ICLR 2022, arXiv:2106.08254, eq. 1",
)
class BEiT(Objective):
    """Classify masked tokens into the codes of a frozen tokenizer."""

    Config: ClassVar[type[ObjectiveConfig]] = BEiTConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make mask token and classifier, and a codebook where the tokenizer has none."""
        tokenizer = models["tokenizer"]
        assert isinstance(tokenizer, Frozen)
        self.codes = TokenCodes(tokenizer, self.config.prototypes)
        self.prediction = ReplacedPrediction(backbone.embed_dim, self.codes.count)

    def masked(self, view: View, tokens: Tokens) -> Mask:
        """The tokens to predict."""
        c = self.config
        return block_masks(tokens, c.mask_ratio, view.random, blocks=c.blocks, aspect=c.block_aspect).masked

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean cross-entropy over masked tokens."""
        view = views[0]
        tokens = backbone.tokenize(view)
        masked = self.masked(view, tokens)
        codes, points = self.codes(view, tokens)
        logits, features = self.prediction(backbone, tokens, masked)
        loss, terms = self.classified(logits, masked, codes)
        return Loss(loss, terms, {"embedding": features.pooled, **self.seen(points)})

    def classified(self, logits: Tensor, masked: Mask, codes: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of `[B, K, V]` logits at masked tokens; accuracy and how many codes occur."""
        target = masked.gather(codes)
        loss = masked_mean(token_cross_entropy(logits, target), masked.valid)
        with torch.no_grad():
            hit = masked_mean((logits.argmax(dim=-1) == target).to(loss.dtype), masked.valid)
            return loss, {"accuracy": hit, "codes_used": share_used(target, self.codes.count, masked.valid)}

    def seen(self, points: Tensor) -> dict[str, Tensor]:
        """What the own codebook learns from."""
        return {} if self.codes.codebook is None else {"points": points.flatten(0, -2)}

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Learn the own codebook at the start of the run, at least in its first step."""
        c = self.config
        learning = step.step < max(1, resolve_duration(c.codebook_time, step.total, step.epoch_steps))
        if self.codes.codebook is not None and learning:
            self.codes.learn(torch.cat([w["points"] for w in watch]), c.codebook_decay)

    def export(self, backbone: Backbone) -> Export:
        """The encoder; mask token and classifier go along."""
        return Export(encoder=backbone, parts={"prediction": self.prediction})

    def trivial(self, batch: int) -> float:
        """`ln V`: equal logits."""
        return math.log(self.codes.count)
