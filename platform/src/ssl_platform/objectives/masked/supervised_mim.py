"""Supervised masked image modelling: a classifier reads the masked view, a shallow decoder predicts what was masked.

No code is public, and mask ratio, loss weight and decoder are not established: half of the tokens, equal weights and
two blocks are assumed here, and masked tokens are dropped rather than replaced. The codes are those of a frozen
tokenizer as in `beit`; `target=content` reconstructs raw content and needs no second model. Samples of unknown label
still reconstruct.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from ssl_platform.errors import ConfigError
from ssl_platform.losses.supervised import masked_cross_entropy
from ssl_platform.masking.mask import Split
from ssl_platform.masking.random import random_masks
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.frozen import Frozen
from ssl_platform.objectives.base import Export, ObjectiveConfig, objective
from ssl_platform.objectives.masked.beit import TOKENIZER, BEiT
from ssl_platform.objectives.masked.visible import content_loss, decoded, decoder_of
from ssl_platform.objectives.settings import DecoderDepth, DecoderDim, DecoderHeads, Prototypes, Weight
from ssl_platform.plan import Plan
from ssl_platform.targets.codes import TokenCodes
from ssl_platform.types import Features, Loss, Step, Tokens, View, Views


class SupervisedMIMConfig(ObjectiveConfig):
    """Settings of supervised masked image modelling."""

    mask_ratio: float = Field(
        0.5, ge=0, lt=1, description="fraction of the tokens that is hidden; 0: plain supervision"
    )
    weight: Weight = Field(1.0, description="of the reconstruction beside the classification; 0: plain supervision")
    target: Literal["codes", "content"] = Field("codes", description="a frozen tokenizer's codes, or raw content")
    decoder_dim: DecoderDim = 512
    decoder_depth: DecoderDepth = 2
    decoder_heads: DecoderHeads = 16
    prototypes: Prototypes = Field(1024, description="codes, where the tokenizer brings no codebook")
    codebook_time: str = Field("5%", description="how long such a codebook is learnt: steps, epochs or part of the run")
    codebook_decay: float = Field(0.99, ge=0, lt=1, description="of its moving average")

    @property
    def reconstructs(self) -> bool:
        """Whether there is a second loss."""
        return self.mask_ratio > 0 and self.weight > 0


def _needs(c: SupervisedMIMConfig) -> Plan:
    plan = Plan.single(offers=("tokens", "drop"), labels="required")
    return plan.replace(models=TOKENIZER) if c.target == "codes" and c.reconstructs else plan


@objective(
    "supervised-mim",
    needs=_needs,
    paper="Chen, Salz, Chang, Sohn, Krishnan, Seyedhosseini: Improve Supervised Representation Learning with Masked "
    "Image Modeling, 2023, arXiv:2312.00950",
)
class SupervisedMIM(BEiT):
    """Classify a view from its visible tokens and reconstruct the masked ones."""

    Config: ClassVar[type[ObjectiveConfig]] = SupervisedMIMConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the classifier and, unless it is plain supervision, the decoder.

        Raises:
            ConfigError: the labels are no classes.
        """
        c = self.config
        if self.data.classes < 2:
            raise ConfigError(f"supervised-mim needs classes as labels, got {self.data.classes}: give --labels")
        self.classifier = nn.Linear(backbone.embed_dim, self.data.classes)
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)
        if not c.reconstructs:
            return
        assert backbone.tokenizer is not None
        width = backbone.tokenizer.target_dim
        if c.target == "codes":
            tokenizer = models["tokenizer"]
            assert isinstance(tokenizer, Frozen)
            self.codes = TokenCodes(tokenizer, c.prototypes)
            width = self.codes.count
        self.decoder = decoder_of(backbone, width, c.decoder_dim, c.decoder_depth, c.decoder_heads)

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Cross-entropy of the labels plus the weighted loss at masked tokens.

        Raises:
            ConfigError: there are no labels, or they are no single classes.
        """
        view, c = views[0], self.config
        label = view.label
        if label is None or label.ndim != 1 or label.is_floating_point():
            raise ConfigError("supervised-mim needs one class a sample: give --labels with a column of classes")
        tokens = backbone.tokenize(view)
        split = random_masks(tokens, c.mask_ratio, view.random) if c.mask_ratio > 0 else None
        features = backbone.encode(tokens, None if split is None else split.visible)
        supervised = masked_cross_entropy(self.classifier(features.pooled), label)
        if split is None or not c.reconstructs:
            return Loss(supervised, watch={"embedding": features.pooled})
        masked, terms, watch = self.reconstruction(backbone, view, tokens, split, features)
        terms = {"supervised": supervised, "masked": masked, **terms}
        return Loss(supervised + c.weight * masked, terms, {"embedding": features.pooled, **watch})

    def reconstruction(
        self, backbone: Backbone, view: View, tokens: Tokens, split: Split, features: Features
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Loss at the masked tokens, further terms, and what to watch."""
        prediction = decoded(self.decoder, features, tokens, split)
        if self.config.target == "content":
            return content_loss(backbone, view, prediction, split.masked), {}, {}
        codes, points = self.codes(view, tokens)
        return *self.classified(prediction, split.masked, codes), self.seen(points)

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Learn the own codebook at the start of the run."""
        if "codes" in self._modules:
            super().after_step(step, backbone, watch, views)

    def export(self, backbone: Backbone) -> Export:
        """The encoder with its classifier; the decoder is thrown away."""
        return Export(encoder=backbone, parts={"classifier": self.classifier})

    def trivial(self, batch: int) -> float:
        """Equal logits for classes, and for codes (or the mean content of each patch)."""
        c = self.config
        plain = math.log(self.data.classes)
        if not c.reconstructs:
            return plain
        return plain + c.weight * (math.log(self.codes.count) if c.target == "codes" else 1.0)
