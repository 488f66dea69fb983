"""DINO: every crop of the student must match the teacher's distribution for every other global crop.

Departures from the published code: the centre is a buffer that starts at the first batch's mean (from zero, the first
steps teach the student what all samples share), updated after the optimiser step with the mean over all micro-batches
and ranks; temperatures, momentum and the freezing of the last layer count optimiser steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.distributed import all_mean
from ssl_platform.losses.distillation import centred_softmax, dino_cross_entropy
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import DINOHead
from ssl_platform.objectives.base import Export, Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import mean_of, pooled
from ssl_platform.objectives.settings import HeadNorm, LocalCrops, Momentum, Positive, Prototypes, Size
from ssl_platform.objectives.teacher import Teacher
from ssl_platform.plan import Plan
from ssl_platform.schedules import cosine, linear, resolve_duration
from ssl_platform.types import Loss, Step, Views


class DINOConfig(ObjectiveConfig):
    """Settings of DINO."""

    prototypes: Prototypes = 65536
    hidden: Size = Field(2048, description="width of the head's hidden layers")
    bottleneck: Size = Field(256, description="dimensions of the head before the prototypes")
    head_norm: HeadNorm = None
    learn_gain: bool = Field(False, description="the prototypes' lengths are learnt too, which is less stable")
    student_temperature: Positive = Field(0.1, description="temperature of the student's softmax")
    teacher_temperature: tuple[Positive, Positive] = Field(
        (0.04, 0.07), description="temperature of the teacher's softmax, at the start and after the warm-up"
    )
    temperature_warmup: str = Field("30%", description="its warm-up: steps, epochs (30ep) or part of the run (30%)")
    momentum: Momentum = 0.996
    centre_momentum: float = Field(0.9, ge=0, lt=1, description="of the centre's moving average")
    centring: bool = Field(True, description="without it the teacher collapses: for controls only")
    freeze_last_layer: str = Field(
        "1ep", description="prototypes stand still so long: steps, epochs or part of the run"
    )
    local_crops: LocalCrops = 8


@objective(
    "dino",
    needs=lambda c: Plan.multi_crop(c.local_crops),
    paper="Caron et al.: Emerging Properties in Self-Supervised Vision Transformers, ICCV 2021, arXiv:2104.14294, "
    "eq. 1-4",
)
class DINO(Objective):
    """Self-distillation with a centred and sharpened momentum teacher over multi-crop views."""

    Config = DINOConfig
    centre: Tensor
    temperature: Tensor

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the head, the teacher and the centre."""
        c = self.config
        self.add_heads(backbone)
        self.teacher = Teacher(backbone, self.heads())
        self.register_buffer("centre", torch.zeros(c.prototypes))
        self.first = False
        self.register_buffer("temperature", torch.tensor(c.teacher_temperature[0]))

    def add_heads(self, backbone: Backbone) -> None:
        """Make what the teacher copies besides the backbone."""
        self.head = self.new_head(backbone.embed_dim, self.config.bottleneck)

    def new_head(self, in_dim: int, bottleneck: int) -> DINOHead:
        """A head of the configured widths."""
        c = self.config
        return DINOHead(in_dim, c.hidden, bottleneck, c.prototypes, norm=c.head_norm, learn_gain=c.learn_gain)

    def heads(self) -> dict[str, DINOHead]:
        """The student's heads by the names the teacher knows them by."""
        return {"head": self.head}

    def before_step(self, step: Step) -> None:
        """Warm up the teacher's temperature."""
        self.first = step.step == 0
        self.temperature.fill_(self.warm(self.config.teacher_temperature, step))

    def warm(self, temperature: tuple[float, float], step: Step) -> float:
        """A teacher's temperature at a step."""
        warmup = max(1, resolve_duration(self.config.temperature_warmup, step.total, step.epoch_steps))
        return linear(*temperature, step.step / warmup)

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean cross-entropy over all pairs of a teacher's global crop and another student's crop."""
        globals_ = views["global"]
        with torch.no_grad():
            probs, mean = self.view_targets(pooled(self.teacher.backbone, globals_))
        features = pooled(backbone, views)
        loss = self.view_loss(features, probs)
        return Loss(
            loss,
            watch={
                "embedding": mean_of(features[: len(globals_)]),
                "teacher_probs": mean_of(probs),
                "teacher_mean": mean,
            },
        )

    def view_targets(self, features: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """The teacher's distributions of the global crops, and the mean of its logits.

        Args:
            features: `[B, D]` of the teacher, one a global crop.

        Returns:
            `[B, K]` probabilities, one a global crop, and `[K]`.
        """
        logits = [self.teacher.head("head", f) for f in features]
        joined = torch.cat(logits)
        mean = joined.mean(dim=0)
        probs = self.probabilities(joined, self.centre_in_use(self.centre, mean), self.temperature)
        return list(probs.chunk(len(logits))), mean

    def centre_in_use(self, centre: Tensor, mean: Tensor) -> Tensor:
        """The moving average; at the first step the mean over ranks of `mean`."""
        return all_mean(mean) if self.first and self.config.centring else centre

    def probabilities(self, logits: Tensor, centre: Tensor, temperature: Tensor, valid: Tensor | None = None) -> Tensor:
        """The teacher's distributions of `[..., K]` logits, of which `[...]` `valid` count."""
        return centred_softmax(logits, centre, temperature)

    def view_loss(self, features: Sequence[Tensor], probs: Sequence[Tensor]) -> Tensor:
        """DINO's cross-entropy of the student's crops, the global ones first, with the teacher's distributions."""
        scores = self.head(torch.cat(tuple(features))).chunk(len(features))
        return dino_cross_entropy(scores, probs, self.config.student_temperature)

    def after_backward(self, step: Step) -> None:
        """Cancel the last layers' gradient at the start."""
        if step.step < resolve_duration(self.config.freeze_last_layer, step.total, step.epoch_steps):
            for head in self.heads().values():
                for parameter in head.last.parameters():
                    parameter.grad = None

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Move the teacher, then the centre by the mean of the teacher's outputs over micro-batches and ranks."""
        self.teacher.update(backbone, self.heads(), cosine(self.config.momentum, 1.0, step.progress))
        self.move(self.centre, [w["teacher_mean"] for w in watch], self.config.centre_momentum, step)

    def move(self, centre: Tensor, means: Sequence[Tensor], momentum: float, step: Step) -> None:
        """Move a centre; the first step sets it."""
        if self.config.centring:
            mean = all_mean(mean_of(means))
            centre.lerp_(mean.to(centre.dtype), 1.0 if step.step == 0 else 1.0 - momentum)

    def export(self, backbone: Backbone) -> Export:
        """The teacher's backbone, which is the better one during training."""
        return Export(encoder=self.teacher.backbone)

    def trivial(self, batch: int) -> float:
        """`ln K`: constant student logits."""
        return math.log(self.config.prototypes)
