"""LatentMIM: predict the latents of masked patches that a slow encoder, which sees only those, gives them.

Departures from the published code: the gap is a share of the patch's side, so that it suits any tokenizer (sets have no
gaps); what does not fill a whole patch and gap is cut off the view, instead of enlarging it; the penalty on similarity
is a mean over samples of each sample's own, so no sample's loss depends on the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.latent import pairwise_similarity, patch_discrimination
from ssl_platform.losses.masked import masked_mean
from ssl_platform.masking.choose import masked_count
from ssl_platform.masking.random import random_masks
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import mlp
from ssl_platform.nn.latent_decoder import LatentDecoder
from ssl_platform.nn.patch_tokenizer import PatchTokenizer
from ssl_platform.objectives.base import Export, Objective, ObjectiveConfig, objective
from ssl_platform.objectives.settings import (
    DecoderDepth,
    DecoderDim,
    DecoderHeads,
    MaskRatio,
    Momentum,
    Temperature,
    Weight,
    Widths,
)
from ssl_platform.objectives.teacher import Teacher
from ssl_platform.plan import Plan
from ssl_platform.schedules import cosine
from ssl_platform.types import Features, Loss, Step, View, Views
from ssl_platform.views.gaps import gapped


class LatentMIMConfig(ObjectiveConfig):
    """Settings of LatentMIM."""

    mask_ratio: MaskRatio = Field(0.897, description="fraction of the tokens that is hidden (176 of 196)")
    gap: float = Field(0.25, ge=0, le=1, description="cells between patches, as a share of the patch's side")
    temperature: Temperature = 0.2
    proj_dims: Widths = (4096, 4096)
    decoder_dim: DecoderDim = 512
    decoder_depth: DecoderDepth = 3
    decoder_heads: DecoderHeads = 16
    momentum: Momentum = 0.99
    similarity_weight: Weight = Field(0.1, description="of the penalty on the mean cosine of a sample's tokens")
    similarity: tuple[float, float] = Field(
        (0.75, 0.25), description="mean cosine asked for, at the start and at the end of a cosine"
    )


@objective(
    "latent-mim",
    needs=Plan.single(offers=("tokens", "drop")),
    paper="Wei, Gupta, Morgado: Towards Latent Masked Image Modeling for Self-Supervised Visual Representation "
    "Learning, ECCV 2024, arXiv:2407.15837",
)
class LatentMIM(Objective):
    """Tell the masked patches' latents apart, given few visible patches with gaps between them."""

    Config = LatentMIMConfig
    wanted: Tensor

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make projector, decoder and the teacher's copies."""
        assert backbone.tokenizer is not None
        c, dim = self.config, backbone.embed_dim
        self.projector = mlp(
            dim, *c.proj_dims, dim, norm="layer", activation="gelu", last_norm=True, bias=False, last_bias=False
        )
        self.decoder = LatentDecoder(
            dim, c.decoder_dim, c.decoder_depth, c.decoder_heads, kinds=backbone.tokenizer.kinds, steps=backbone.steps
        )
        self.teacher = Teacher(backbone, {"projector": self.projector})
        self.register_buffer("wanted", torch.tensor(c.similarity[0]))
        self.tokens = self._count(backbone)

    def before_step(self, step: Step) -> None:
        """Lower the similarity asked for."""
        start, end = self.config.similarity
        self.wanted.fill_(cosine(start, end, step.progress))

    def cut(self, backbone: Backbone, view: View) -> View:
        """The view with gaps between its patches."""
        sides = _sides(backbone, self.config.gap, tuple(view.x.shape[2:]))
        return gapped(view, *sides) if sides else view

    def projected(self, features: Features) -> Features:
        """Features through the projector, as the decoder reads them."""
        assert features.tokens is not None
        return replace(features, tokens=self.projector(features.tokens), prefix=self.projector(features.prefix))

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Patch discrimination inside each sample, and the penalty on similarity."""
        c = self.config
        view = self.cut(backbone, views[0])
        tokens = backbone.tokenize(view)
        visible, masked = random_masks(tokens, c.mask_ratio, view.random)
        with torch.no_grad():
            teacher = self.teacher.backbone
            hidden = teacher.encode(teacher.tokenize(view), masked)
            assert hidden.tokens is not None
            target = self.teacher.head("projector", hidden.tokens)

        seen = backbone.encode(tokens, visible)
        latents = self.projected(seen)
        assert latents.tokens is not None
        places, kinds = masked.gather(tokens.coords), {}
        if tokens.kind is not None:
            kinds = {"context_kind": visible.gather(tokens.kind), "kind": masked.gather(tokens.kind)}
        prediction = self.decoder(latents, places, valid=masked.valid, **kinds)
        told_apart = masked_mean(patch_discrimination(prediction, target, c.temperature, masked.valid), masked.valid)
        similarity = {
            "predicted": pairwise_similarity(prediction, masked.valid),
            "visible": pairwise_similarity(latents.tokens, latents.valid),
        }
        penalty = sum((value - self.wanted).square().mean() for value in similarity.values())
        terms = {"discrimination": told_apart, "target_similarity": pairwise_similarity(target, masked.valid).mean()}
        terms |= {f"{name}_similarity": value.mean() for name, value in similarity.items()}
        watch = {"embedding": seen.pooled, "prediction": prediction.detach().flatten(0, -2)}
        return Loss(told_apart + c.similarity_weight * penalty, terms, watch)

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Move the teacher; its momentum rises to 1 along a cosine."""
        self.teacher.update(backbone, {"projector": self.projector}, cosine(self.config.momentum, 1.0, step.progress))

    def export(self, backbone: Backbone) -> Export:
        """The student's backbone."""
        return Export(encoder=backbone, parts={"projector": self.projector, "decoder": self.decoder})

    def trivial(self, batch: int) -> float | None:
        """`2 tau ln M` for constant predictions of M masked patches; None where their number varies."""
        return None if self.tokens is None else 2 * self.config.temperature * math.log(self.tokens)

    def _count(self, backbone: Backbone) -> int | None:
        """Masked patches of a view, where all views have the same number."""
        if backbone.spec is None or not isinstance(backbone.tokenizer, PatchTokenizer):
            return None
        size = backbone.spec.size
        patch, gap = _sides(backbone, self.config.gap, size) or (backbone.tokenizer.patch, (0,) * len(size))
        total = math.prod(n // (p + g) for n, p, g in zip(size, patch, gap, strict=True))
        return masked_count(total, self.config.mask_ratio)


def _sides(backbone: Backbone, gap: float, size: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Cells of a patch and of a gap along each axis; None where there is no gap.

    An axis keeps its patches side by side when it would hold less than two of them with gaps.
    """
    assert backbone.tokenizer is not None
    patch = backbone.tokenizer.patch
    if patch is None:
        return None
    gaps = tuple(round(gap * p) if n // (p + round(gap * p)) > 1 else 0 for p, n in zip(patch, size, strict=True))
    return (patch, gaps) if any(gaps) and all(n >= p for n, p in zip(size, patch, strict=True)) else None
