"""MoCo v2: each query must pick its sample's key among a queue of earlier keys from a slowly moving encoder.

Departures from the published code: batch norms use global statistics, so nothing leaks within a rank and keys need no
shuffling; the queue takes any number of keys; keys of the query's own sample or group can be left out, which small sets
need; with `queue=0` the batch's other keys are the negatives.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.contrastive import key_logits, picked
from ssl_platform.losses.precision import widen
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.bank import Queue
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.settings import Count, HeadNorm, KeyNegatives, Temperature, Widths
from ssl_platform.objectives.teacher import Teacher
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, Step, View, Views


class MoCoV2Config(ObjectiveConfig):
    """Settings of MoCo v2."""

    proj_dims: Widths = (2048, 128)
    head_norm: HeadNorm = None
    temperature: Temperature = 0.2
    momentum: float = Field(0.999, ge=0, le=1, description="of the key encoder's moving average, at every step")
    queue: Count = Field(65536, description="earlier keys that are negatives; 0: the batch's other keys instead")
    negatives: KeyNegatives = "all"


def key_plan(config: MoCoV2Config) -> Plan:
    """Two views; samples of a batch meet where there is no queue, and in a head with batch norm."""
    together = not config.queue or config.head_norm is not None
    return Plan.augmented(2, groups=True, batch_coupled=together, min_batch=2 if together else 1)


@objective(
    "moco-v2",
    needs=key_plan,
    paper="Chen, Fan, Girshick, He: Improved Baselines with Momentum Contrastive Learning, 2020, arXiv:2003.04297; "
    "He et al.: Momentum Contrast for Unsupervised Visual Representation Learning, CVPR 2020, arXiv:1911.05722, eq. 1",
)
class MoCoV2(Objective):
    """Contrast a query with its key from a momentum encoder and with a queue of earlier keys."""

    remembers = True

    Config = MoCoV2Config

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the projector, the key encoder and the queue of keys and their samples."""
        c = self.config
        self.projector = mlp(backbone.embed_dim, *c.proj_dims, norm=c.head_norm, last_norm=c.head_norm is not None)
        self.teacher = Teacher(backbone, self.heads)
        self.queue = Queue(c.queue, c.proj_dims[-1])
        self.queue_ids = Queue(c.queue, (), dtype=torch.int64)

    @property
    def heads(self) -> dict[str, nn.Module]:
        """What the key encoder has a copy of beside the backbone."""
        return {"projector": self.projector}

    def identity(self, view: View) -> Tensor:
        """`[B]` int64: a key of the same number may be left out of a query's negatives."""
        found = view.group if self.config.negatives == "other-groups" else view.index
        assert found is not None
        return found

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """InfoNCE of the first view's queries with the second view's keys."""
        features = backbone(views[0]).pooled
        q = self.projector(features)
        with torch.no_grad():
            k = self.teacher.head("projector", self.teacher.backbone(views[1]).pooled)
        logits, own = self.logits(q, k, views[0])
        terms = {"accuracy": picked(logits, own)}
        return Loss(F.cross_entropy(logits, own), terms, {"embedding": features, "keys": F.normalize(widen(k), dim=1)})

    def logits(self, q: Tensor, k: Tensor, view: View) -> tuple[Tensor, Tensor]:
        """`[B, n]` similarities over temperature with all candidates, and `[B]` the column of the own key."""
        queue, ids = (self.queue.content(), self.queue_ids.content()) if self.config.queue else (None, None)
        own = None if self.config.negatives == "all" else self.identity(view)
        return key_logits(q, k, self.config.temperature, queue=queue, group=own, queue_group=ids)

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Move the key encoder; the step's keys take the places of the oldest."""
        self.teacher.update(backbone, self.heads, self.config.momentum)
        if self.config.queue:
            self.queue.push(torch.cat([w["keys"] for w in watch]))
            self.queue_ids.push(torch.cat([self.identity(made[1]) for made in views]))

    def trivial(self, batch: int) -> float:
        """`log(1 + K)`: all keys alike."""
        return math.log(1 + self.config.queue) if self.config.queue else math.log(max(1, batch))
