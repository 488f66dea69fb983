"""DenseCL: MoCo v2, and beside it every token must pick its likest token of the other view among pooled earlier keys.

Departures from the published code: those of `moco-v2`; both queues share the record of whose keys they hold; the start
of the dense term counts steps as part of the run (1000 of a million); tokens are the finest grid there is, not pooled
to a coarser one. Without a queue the negatives of a token are the other samples' pooled keys of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ssl_platform import distributed
from ssl_platform.losses.contrastive import key_logits, picked
from ssl_platform.losses.masked import masked_mean
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.bank import Queue
from ssl_platform.nn.heads import mlp
from ssl_platform.nn.matching import most_alike, take
from ssl_platform.nn.validity import valid_mean
from ssl_platform.objectives.base import objective
from ssl_platform.objectives.contrastive.moco_v2 import MoCoV2, MoCoV2Config, key_plan
from ssl_platform.plan import Plan
from ssl_platform.schedules import resolve_duration
from ssl_platform.types import Features, Loss, Step, View, Views


class DenseCLConfig(MoCoV2Config):
    """Settings of DenseCL."""

    dense_weight: float = Field(0.5, ge=0, le=1, description="share of the dense term in the loss")
    dense_start: str = Field(
        "0.1%", description="the dense term waits so long, while matches are random: steps, epochs or part of the run"
    )


def dense_plan(config: DenseCLConfig) -> Plan:
    """MoCo's views and tokens of them."""
    return key_plan(config).replace(offers=("tokens",))


@objective(
    "densecl",
    needs=dense_plan,
    paper="Wang, Zhang, Shen, Kong, Li: Dense Contrastive Learning for Self-Supervised Visual Pre-Training, CVPR 2021, "
    "arXiv:2011.09157, eq. 1-4",
)
class DenseCL(MoCoV2):
    """Contrast whole views, and each token with its likest key token, against queues of earlier keys."""

    Config = DenseCLConfig
    weight: Tensor

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make MoCo's parts, the dense projector and its queue."""
        c = self.config
        self.dense_projector = mlp(backbone.embed_dim, *c.proj_dims, norm=None)
        super().build(backbone, models)
        self.dense_queue = Queue(c.queue, c.proj_dims[-1])
        self.register_buffer("weight", torch.tensor(float(c.dense_weight)))

    @property
    def heads(self) -> dict[str, nn.Module]:
        """What the key encoder has a copy of beside the backbone."""
        return super().heads | {"dense_projector": self.dense_projector}

    def before_step(self, step: Step) -> None:
        """Let the dense term wait for its start."""
        start = resolve_duration(self.config.dense_start, step.total, step.epoch_steps)
        self.weight.fill_(self.config.dense_weight if step.step >= start else 0.0)

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """`(1 - weight)` of MoCo's loss and `weight` of the mean over the query's tokens."""
        query = backbone(views[0])
        with torch.no_grad():
            key = self.teacher.backbone(views[1])
            k = self.teacher.head("projector", key.pooled)
        logits, own = self.logits(self.projector(query.pooled), k, views[0])
        whole = F.cross_entropy(logits, own)
        dense, pooled = self.dense_loss(query, key, views[0])
        return Loss(
            (1 - self.weight) * whole + self.weight * dense,
            terms={"global": whole, "dense": dense, "accuracy": picked(logits, own)},
            watch={"embedding": query.pooled, "keys": F.normalize(k, dim=1), "dense_keys": pooled},
        )

    def dense_loss(self, query: Features, key: Features, view: View) -> tuple[Tensor, Tensor]:
        """The mean over tokens, and the `[B, D]` pooled dense keys of this rank."""
        assert query.tokens is not None and key.tokens is not None
        with torch.no_grad():
            t = F.normalize(self.teacher.head("dense_projector", key.tokens), dim=-1)
            pooled = F.normalize(valid_mean(t, key.valid), dim=1)
            matched = take(t, most_alike(query.tokens, key.tokens, key.valid))
        r = self.dense_projector(query.tokens)
        if self.config.queue:
            queue, ids = self.dense_queue.content(), self.queue_ids.content()
            own = None if self.config.negatives == "all" else self.identity(view)
        else:
            own = self.identity(view)
            queue, ids = distributed.gather(pooled), distributed.gather(own)
        group = None if own is None else own.repeat_interleave(r.shape[1])
        logits, column = key_logits(
            r.flatten(0, 1), matched.flatten(0, 1), self.config.temperature, queue=queue, group=group, queue_group=ids
        )
        error = F.cross_entropy(logits, column, reduction="none").view(r.shape[:2])
        return masked_mean(error, _counted(query, key)), pooled

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """MoCo's, and the same for the dense queue."""
        super().after_step(step, backbone, watch, views)
        if self.config.queue:
            self.dense_queue.push(torch.cat([w["dense_keys"] for w in watch]))


def _counted(query: Features, key: Features) -> Tensor | None:
    """`[B, N]` bool, the query's valid tokens of samples whose key has any; None: all."""
    if key.valid is None or query.tokens is None:
        return query.valid
    some = key.valid.any(dim=1, keepdim=True).expand(query.tokens.shape[:2])
    return some if query.valid is None else query.valid & some
