"""SwAV: predict one crop's cluster code from another crop; codes are balanced by optimal transport.

Departures from the published code: codes come from a safe Sinkhorn over the global batch (plus queue), queue and
freezing of the prototypes count optimiser steps, and the queue holds the embeddings of all ranks in rank order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.clustering import swapped_prediction
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.bank import Queue
from ssl_platform.nn.clustering import sinkhorn
from ssl_platform.nn.heads import PrototypeHead, mlp
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import mean_of, pooled
from ssl_platform.objectives.settings import (
    Count,
    HeadNorm,
    LocalCrops,
    Positive,
    Prototypes,
    Size,
    Temperature,
    Widths,
)
from ssl_platform.plan import Plan
from ssl_platform.schedules import resolve_duration
from ssl_platform.types import Loss, Step, Views


class SwAVConfig(ObjectiveConfig):
    """Settings of SwAV."""

    prototypes: Prototypes = 3000
    proj_dims: Widths = (2048, 128)
    head_norm: HeadNorm = None
    temperature: Temperature = 0.1
    epsilon: Positive = Field(0.05, description="entropy regularisation of the optimal assignment")
    sinkhorn_iterations: Size = Field(3, description="Sinkhorn-Knopp iterations")
    balanced: bool = Field(True, description="equal use of prototypes; without it codes collapse: for controls only")
    queue: Count = Field(3840, description="past embeddings that take part in the assignment; 0 for none")
    queue_start: str = Field("15ep", description="when the queue joins: steps, epochs (15ep) or part of the run (5%)")
    freeze_prototypes: str = Field(
        "1ep", description="prototypes stand still so long: steps, epochs or part of the run"
    )
    local_crops: LocalCrops = 6


@objective(
    "swav",
    needs=lambda c: Plan.multi_crop(c.local_crops, batch_coupled=True, min_batch=2),
    paper="Caron et al.: Unsupervised Learning of Visual Features by Contrasting Cluster Assignments, NeurIPS 2020, "
    "arXiv:2006.09882, eq. 1-5",
)
class SwAV(Objective):
    """Online clustering with swapped prediction over multi-crop views."""

    Config = SwAVConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make projector, prototypes and one queue a global crop."""
        c = self.config
        self.projector = mlp(backbone.embed_dim, *c.proj_dims, norm="batch", last_norm=c.head_norm is not None)
        self.prototypes = PrototypeHead(c.proj_dims[-1], c.prototypes)
        self.queues = nn.ModuleList([Queue(c.queue, c.proj_dims[-1]) for _ in range(2)] if c.queue else [])
        self.queue_used = False

    def before_step(self, step: Step) -> None:
        """Bring the prototypes back to unit norm and decide whether the queues take part."""
        self.prototypes.normalise()
        start = resolve_duration(self.config.queue_start, step.total, step.epoch_steps)
        filled = step.step * step.batch >= self.config.queue
        self.queue_used = bool(self.queues) and step.step >= start and filled

    def queue(self, crop: int) -> Queue:
        """The queue of one global crop."""
        found = self.queues[crop]
        assert isinstance(found, Queue)
        return found

    def codes(self, embedding: Tensor, crop: int) -> Tensor:
        """`[B, K]` soft codes of one global crop, without gradient."""
        c = self.config
        with torch.no_grad():
            if not c.balanced:
                return (self.prototypes(embedding) / c.epsilon).softmax(dim=-1)
            queued = self.prototypes(self.queue(crop).content()) if self.queue_used else None
            return sinkhorn(self.prototypes(embedding), c.epsilon, c.sinkhorn_iterations, replicated=queued)

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean over global crops of the cross-entropy with every other crop's prediction."""
        features = pooled(backbone, views)
        z = nn.functional.normalize(self.projector(torch.cat(features)), dim=-1).chunk(len(features))
        codes = [self.codes(z[crop].detach(), crop) for crop in range(len(views["global"]))]
        loss = swapped_prediction([self.prototypes(part) for part in z], codes, self.config.temperature)
        watch = {"embedding": mean_of(features[: len(codes)]), "teacher_probs": mean_of(codes)}
        watch |= {f"queue{crop}": z[crop].detach() for crop in range(len(codes))}
        return Loss(loss, watch=watch)

    def after_backward(self, step: Step) -> None:
        """Keep the prototypes fixed at the start."""
        if step.step < resolve_duration(self.config.freeze_prototypes, step.total, step.epoch_steps):
            for parameter in self.prototypes.parameters():
                parameter.grad = None

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Queue the embeddings of the step's global crops."""
        for crop in range(len(self.queues)):
            self.queue(crop).push(torch.cat([w[f"queue{crop}"] for w in watch]))

    def trivial(self, batch: int) -> float:
        """`ln K`: uniform scores."""
        return math.log(self.config.prototypes)
