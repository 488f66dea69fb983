"""DINO: every crop of the student must match the teacher's distribution for every other global crop.

Departures from the published code: the centre is a buffer that starts at the first batch's mean (from zero, the first
steps teach the student what all samples share), updated after the optimiser step with the mean over all micro-batches
and ranks; temperatures, momentum and the freezing of the last layer count optimiser steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.distributed import all_mean
from ssl_platform.losses.distillation import centred_softmax, dino_cross_entropy
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.heads import DINOHead
from ssl_platform.objectives.base import Export, Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import mean_of, pooled
from ssl_platform.objectives.settings import LocalCrops, Momentum, Positive, Prototypes, Size
from ssl_platform.objectives.teacher import Teacher
from ssl_platform.plan import Plan
from ssl_platform.schedules import cosine, linear, resolve_duration
from ssl_platform.types import Loss, Step, Views


class DINOConfig(ObjectiveConfig):
    """Settings of DINO."""

    prototypes: Prototypes = 65536
    hidden: Size = Field(2048, description="width of the head's hidden layers")
    bottleneck: Size = Field(256, description="dimensions of the head before the prototypes")
    head_norm: Literal["batch"] | None = Field(
        None, description="batch statistics after every layer of the head; what all samples share then drops out"
    )
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
        self.head = DINOHead(backbone.embed_dim, c.hidden, c.bottleneck, c.prototypes, norm=c.head_norm)
        self.teacher = Teacher(backbone, {"head": self.head})
        self.register_buffer("centre", torch.zeros(c.prototypes))
        self.first = False
        self.register_buffer("temperature", torch.tensor(c.teacher_temperature[0]))

    def before_step(self, step: Step) -> None:
        """Warm up the teacher's temperature."""
        self.first = step.step == 0
        warmup = max(1, resolve_duration(self.config.temperature_warmup, step.total, step.epoch_steps))
        start, end = self.config.teacher_temperature
        self.temperature.fill_(linear(start, end, step.step / warmup))

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean cross-entropy over all pairs of a teacher's global crop and another student's crop."""
        globals_ = views["global"]
        with torch.no_grad():
            teacher_features = pooled(self.teacher.backbone, globals_)
            logits = [self.teacher.head("head", f) for f in teacher_features]
            mean = torch.cat(logits).mean(dim=0)
            centre = all_mean(mean) if self.first and self.config.centring else self.centre
            probs = [centred_softmax(t, centre, self.temperature) for t in logits]
        features = pooled(backbone, views)
        scores = self.head(torch.cat(features)).chunk(len(features))
        loss = dino_cross_entropy(scores, probs, self.config.student_temperature)
        return Loss(
            loss,
            watch={
                "embedding": mean_of(features[: len(globals_)]),
                "teacher_probs": mean_of(probs),
                "teacher_mean": mean,
            },
        )

    def after_backward(self, step: Step) -> None:
        """Cancel the last layer's gradient at the start."""
        if step.step < resolve_duration(self.config.freeze_last_layer, step.total, step.epoch_steps):
            for parameter in self.head.last.parameters():
                parameter.grad = None

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Move the teacher, then the centre by the mean of the teacher's outputs over micro-batches and ranks."""
        c = self.config
        self.teacher.update(backbone, {"head": self.head}, cosine(c.momentum, 1.0, step.progress))
        if c.centring:
            mean = all_mean(mean_of([w["teacher_mean"] for w in watch]))
            self.centre.lerp_(mean.to(self.centre.dtype), 1.0 if step.step == 0 else 1.0 - c.centre_momentum)

    def export(self, backbone: Backbone) -> Export:
        """The teacher's backbone, which is the better one during training."""
        return Export(encoder=self.teacher.backbone)

    def trivial(self, batch: int) -> float:
        """`ln K`: constant student logits."""
        return math.log(self.config.prototypes)
