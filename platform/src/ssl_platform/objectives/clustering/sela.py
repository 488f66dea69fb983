"""SeLa: train on labels, and from time to time give all samples new ones that agree with the network's predictions and
use every class equally often.

Departures from the published code: relabellings are evenly spaced over the run (there, denser at its start and none in
its last fifth), and clean views are labelled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.supervised import masked_cross_entropy
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.clustering import balanced_labels
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import mean_of
from ssl_platform.objectives.pseudo_labels import PseudoLabels
from ssl_platform.objectives.settings import Positive, Prototypes, Size
from ssl_platform.plan import Plan, Refresh
from ssl_platform.types import Loss, Step, Views


class SeLaConfig(ObjectiveConfig):
    """Settings of SeLa."""

    prototypes: Prototypes = 3000
    heads: Size = Field(1, description="label sets over one encoder (the paper's best models have 10)")
    power: Positive = Field(25.0, description="of the probabilities in the transport plan (lambda)")
    tolerance: Positive = Field(0.1, description="summed relative change at which the transport plan is final")
    relabel_every: str = Field("1%", description="from one labelling to the next: steps, epochs or part of the run")


@objective(
    "sela",
    needs=lambda c: Plan.augmented(1, stable=True, refresh=Refresh(c.relabel_every, at_start=False)),
    paper="Asano, Rupprecht, Vedaldi: Self-labelling via Simultaneous Clustering and Representation Learning, "
    "ICLR 2020, arXiv:1911.05371, eq. 1-7",
)
class SeLa(Objective):
    """Classify samples into balanced classes that optimal transport of the network's own predictions found."""

    Config = SeLaConfig

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the heads, and labels that are random and balanced at first."""
        c, windows = self.config, self.data.windows
        self.heads = nn.ModuleList([nn.Linear(backbone.embed_dim, c.prototypes) for _ in range(c.heads)])
        self.labels = PseudoLabels(c.heads, windows, c.prototypes)
        for head in range(c.heads):
            order = torch.randperm(windows, generator=torch.Generator().manual_seed(head))
            self.labels.write(head, order, torch.arange(windows) % c.prototypes)

    @torch.no_grad()
    def refresh(self, step: Step, bank: Tensor, index: Tensor) -> None:
        """Label everything anew, each head by its own predictions."""
        c = self.config
        for number, head in enumerate(self.heads):
            features = bank.to(next(head.parameters()).dtype)
            self.labels.write(number, index, balanced_labels(features, head, c.power, c.tolerance))

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean cross-entropy of the heads with their labels."""
        assert views[0].index is not None
        features = backbone(views[0]).pooled
        labels = self.labels.read(views[0].index)
        losses = [masked_cross_entropy(head(features), own) for head, own in zip(self.heads, labels, strict=True)]
        return Loss(mean_of(losses), watch={"embedding": features, "teacher_probs": self.labels.codes(labels[0])})

    def trivial(self, batch: int) -> float:
        """`ln K`: constant predictions."""
        return math.log(self.config.prototypes)
