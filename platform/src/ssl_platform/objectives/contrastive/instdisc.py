"""Instance discrimination: every sample is a class of its own, and a bank of earlier features is the classifier.

Departures from the published code: where no more samples than noise draws exist, the softmax runs over all of them; the
normaliser is estimated from all ranks' first step; rows that come twice in a batch are written once. The code's mixing
of rows stands in for the paper's proximal term, here as there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.memory import estimated_log_normaliser, noise_contrast
from ssl_platform.losses.precision import widen
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.bank import Bank
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.settings import BankMomentum, Count, HeadNorm, Temperature, Widths
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, Step, View, Views


@objective(
    "instdisc",
    needs=lambda c: Plan.augmented(
        1, stable=True, batch_coupled=c.head_norm is not None, min_batch=2 if c.head_norm else 1
    ),
    paper="Wu, Xiong, Yu, Lin: Unsupervised Feature Learning via Non-Parametric Instance Discrimination, CVPR 2018, "
    "arXiv:1805.01978, eq. 2-8",
)
class InstDisc(Objective):
    """Find a sample's own vector in a memory of all samples."""

    remembers = True

    class Config(ObjectiveConfig):
        """Settings of instance discrimination."""

        proj_dims: Widths = (128,)
        head_norm: HeadNorm = None
        temperature: Temperature = 0.07
        negatives: Count = Field(
            4096, description="vectors drawn against a sample's own; 0, or as many as there are: softmax over all"
        )
        bank_momentum: BankMomentum = 0.5

    log_normaliser: Tensor
    normalised: Tensor

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the projector and a random bank."""
        c, windows = self.config, self.data.windows
        self.projector = mlp(backbone.embed_dim, *c.proj_dims, norm=c.head_norm, last_norm=c.head_norm is not None)
        self.bank = Bank(windows, c.proj_dims[-1], random=True)
        self.noise = c.negatives if c.negatives < windows else 0
        self.register_buffer("log_normaliser", torch.zeros(()))
        self.register_buffer("normalised", torch.zeros((), dtype=torch.bool))

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Softmax over the bank, or noise-contrastive estimation of it."""
        view = views[0]
        features = backbone(view).pooled
        f = F.normalize(widen(self.projector(features)), dim=1)
        watch = {"embedding": features, "bank": f}
        if not self.noise:
            return Loss(self.softmax(f, view), watch=watch)
        own, noise = self.scores(f, view)
        estimate = estimated_log_normaliser(own, noise, len(self.bank)).to(self.log_normaliser.dtype)
        watch["log_normaliser"] = torch.where(self.normalised, self.log_normaliser, estimate)
        return Loss(noise_contrast(own, noise, watch["log_normaliser"], len(self.bank)), watch=watch)

    def softmax(self, f: Tensor, view: View) -> Tensor:
        """Cross-entropy of the own vector among all."""
        assert view.index is not None
        with torch.autocast(f.device.type, enabled=False):
            logits = f @ self.bank.rows.to(f.dtype).T / self.config.temperature
        return F.cross_entropy(logits, view.index)

    def scores(self, f: Tensor, view: View) -> tuple[Tensor, Tensor]:
        """`[B]` similarity over temperature with the own vector, and `[B, m]` with vectors drawn uniformly."""
        assert view.index is not None
        drawn = view.random.integer("noise", len(self.bank), self.noise)
        with torch.autocast(f.device.type, enabled=False):
            found = self.bank.compare(f, torch.cat((view.index[:, None], drawn), dim=1)) / self.config.temperature
        return found[:, 0], found[:, 1:]

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Mix the features into their rows; the first step's normaliser stays."""
        for seen, made in zip(watch, views, strict=True):
            assert made[0].index is not None
            self.bank.write(made[0].index, seen["bank"], self.config.bank_momentum)
        if self.noise:
            first = torch.stack([seen["log_normaliser"] for seen in watch]).mean()
            self.log_normaliser.copy_(torch.where(self.normalised, self.log_normaliser, first))
            self.normalised.fill_(True)

    def trivial(self, batch: int) -> float:
        """All similarities alike: `ln n`, or with m draws `ln(m + 1) + m ln(1 + 1 / m)`."""
        m = self.noise
        return math.log(m + 1) + m * math.log1p(1 / m) if m else math.log(max(1, len(self.bank)))
