"""ClusterFit: cluster a trained encoder's features of the whole set, then train another from scratch on the clusters.

A recipe of two runs: pretrain with any objective, then `--objective clusterfit models.teacher=RUN`. The published code
clusters centre crops once and writes the labels to a file; here they are found before the first step from clean views
and kept, with centroids and the teacher's fingerprint, in the run's checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.losses.supervised import masked_cross_entropy
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.clustering import closest, kmeans
from ssl_platform.nn.frozen import Frozen
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.pseudo_labels import PseudoLabels
from ssl_platform.objectives.settings import Count, Size
from ssl_platform.plan import ModelSpec, Plan, Refresh
from ssl_platform.types import Loss, Step, Views


class ClusterFitConfig(ObjectiveConfig):
    """Settings of ClusterFit."""

    prototypes: Size = Field(
        16000, description="clusters: with one there is nothing to learn, with one a window instances are classified"
    )
    kmeans_iterations: Size = Field(50, description="of the k-means over the teacher's features")
    kmeans_seed: Count = Field(0, description="of its first centroids")


@objective(
    "clusterfit",
    needs=Plan.augmented(
        1, stable=True, refresh=Refresh("100%", at_start=True), models=(("teacher", ModelSpec("frozen")),)
    ),
    paper="Yan, Misra, Gupta, Ghadiyaram, Mahajan: ClusterFit: Improving Generalization of Visual Representations, "
    "CVPR 2020, arXiv:1912.03330",
)
class ClusterFit(Objective):
    """Classify samples into the clusters of a given encoder's features."""

    Config = ClusterFitConfig
    centroids: Tensor

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the classifier, labels and centroids."""
        c, teacher = self.config, models["teacher"]
        assert isinstance(teacher, Frozen)
        self.teacher = teacher
        self.head = nn.Linear(backbone.embed_dim, c.prototypes)
        self.labels = PseudoLabels(1, self.data.windows, c.prototypes)
        self.register_buffer("centroids", torch.zeros(c.prototypes, teacher.embed_dim))

    def embedder(self, backbone: Backbone) -> Backbone:
        """The teacher, whose features are clustered."""
        return self.teacher.backbone

    @torch.no_grad()
    def refresh(self, step: Step, bank: Tensor, index: Tensor) -> None:
        """Cluster the teacher's features, once."""
        if step.step > 0:
            return
        c, bank = self.config, bank.to(self.centroids.dtype)
        known = min(c.prototypes, len(bank))  # fewer where windows could not be read
        self.centroids[:known], labels = kmeans(bank, known, c.kmeans_seed, c.kmeans_iterations)
        self.centroids[known:] = self.centroids[0]  # the first of equal ones is taken
        self.labels.write(0, index, labels)

    def assign(self, features: Tensor) -> Tensor:
        """`[m]` cluster of further samples: the nearest centroid of the teacher's pooled features `[m, D]`."""
        return closest(features, self.centroids)[0]

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Cross-entropy with the clusters."""
        assert views[0].index is not None
        features = backbone(views[0]).pooled
        (labels,) = self.labels.read(views[0].index)
        loss = masked_cross_entropy(self.head(features), labels)
        return Loss(loss, watch={"embedding": features, "teacher_probs": self.labels.codes(labels)})

    def trivial(self, batch: int) -> float | None:
        """`ln K`: constant predictions; None for one cluster, whose loss is 0."""
        return math.log(self.config.prototypes) if self.config.prototypes > 1 else None
