"""DeepCluster-v2: cluster what the last epoch saw of every image, then let every crop predict its image's cluster.

Departures from the published code: one pass over clean views fills the bank before the first step (there, over
augmented ones); windows without an embedding are left out of the clustering, not taken for zero vectors; every head
starts from centroids of its own seed, a function of the step, so that a resumed run clusters alike; prototypes are
buffers, which neither gradient nor weight decay can reach.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.losses.clustering import cluster_cross_entropy
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.bank import Bank
from ssl_platform.nn.clustering import initial_centroids, nearest, spherical_kmeans
from ssl_platform.nn.heads import mlp
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.embedding import mean_of, pooled
from ssl_platform.objectives.pseudo_labels import PseudoLabels
from ssl_platform.objectives.settings import LocalCrops, Prototypes, Size, Temperature, Widths
from ssl_platform.plan import Plan, Refresh
from ssl_platform.schedules import resolve_duration
from ssl_platform.types import Loss, Step, Views

GLOBAL_CROPS = 2
CHUNK = 8192  # windows projected at once when the bank is filled


class DeepClusterV2Config(ObjectiveConfig):
    """Settings of DeepCluster-v2."""

    heads: Size = Field(3, description="clusterings, taken in turn of the two global crops' banks")
    prototypes: Prototypes = 3000
    proj_dims: Widths = (2048, 128)
    temperature: Temperature = 0.1
    kmeans_iterations: Size = Field(10, description="of the spherical k-means")
    cluster_every: str = Field("1ep", description="from one clustering to the next: steps, epochs or part of the run")
    local_crops: LocalCrops = 6


@objective(
    "deepcluster-v2",
    needs=lambda c: Plan.multi_crop(
        c.local_crops, batch_coupled=True, min_batch=2, stable=True, refresh=Refresh("100%", at_start=True)
    ),
    paper="Caron et al.: Unsupervised Learning of Visual Features by Contrasting Cluster Assignments, NeurIPS 2020, "
    "arXiv:2006.09882, appendix C.5 (after DeepCluster, ECCV 2018, arXiv:1807.05520)",
)
class DeepClusterV2(Objective):
    """Predict the k-means cluster of the sample's own embedding, found anew every epoch from a bank."""

    Config = DeepClusterV2Config
    centroids: Tensor

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the projector, a bank for each global crop, labels and centroids."""
        c, dim = self.config, self.config.proj_dims[-1]
        self.projector = mlp(backbone.embed_dim, *c.proj_dims, norm="batch")
        self.banks = nn.ModuleList([Bank(self.data.windows, dim) for _ in range(GLOBAL_CROPS)])
        self.labels = PseudoLabels(c.heads, self.data.windows, c.prototypes)
        self.register_buffer("centroids", torch.zeros(c.heads, c.prototypes, dim))

    def bank(self, crop: int) -> Bank:
        """The bank of one global crop."""
        found = self.banks[crop]
        assert isinstance(found, Bank)
        return found

    @torch.no_grad()
    def refresh(self, step: Step, bank: Tensor, index: Tensor) -> None:
        """Fill the banks before the first step; from then on training does."""
        if step.step > 0:
            return
        for rows in torch.arange(len(index), device=index.device).tensor_split(-(-len(index) // CHUNK)):
            z = self.projector(bank[rows].to(self.centroids.dtype))
            for crop in range(GLOBAL_CROPS):
                self.bank(crop).write(index[rows], z)

    def before_step(self, step: Step) -> None:
        """Cluster anew at the start of every epoch."""
        every = max(1, resolve_duration(self.config.cluster_every, step.total, step.epoch_steps))
        if step.step % every == 0:
            for head in range(self.config.heads):
                self.cluster(head, seed=step.step * self.config.heads + head)

    @torch.no_grad()
    def cluster(self, head: int, seed: int) -> None:
        """Centroids and labels of one head from its crop's bank."""
        c, bank = self.config, self.bank(head % GLOBAL_CROPS)
        index = bank.filled.nonzero().squeeze(1)
        rows = bank.read(index)
        # Where too few windows have been seen, further centroids point anywhere.
        generator = torch.Generator().manual_seed(seed)
        start = torch.randn(c.prototypes, rows.shape[1], generator=generator).to(rows)
        known = min(c.prototypes, len(rows))
        start[:known] = initial_centroids(rows, known, seed)
        self.centroids[head] = spherical_kmeans(rows, start, c.kmeans_iterations)
        self.labels.write(head, index, nearest(rows, self.centroids[head])[0])

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean over heads of the cross-entropy of every crop with its sample's cluster."""
        globals_ = views["global"]
        assert globals_[0].index is not None
        features = pooled(backbone, views)
        z = F.normalize(self.projector(torch.cat(features)), dim=-1)
        labels = self.labels.read(globals_[0].index)
        targets = labels.repeat(1, len(features))  # [H, V * B]
        losses = [
            cluster_cross_entropy(z, self.centroids[head], targets[head], self.config.temperature)
            for head in range(self.config.heads)
        ]
        watch = {"embedding": mean_of(features[: len(globals_)]), "teacher_probs": self.labels.codes(labels[0])}
        watch |= {f"bank{crop}": part.detach() for crop, part in enumerate(z.chunk(len(features))[: len(globals_)])}
        return Loss(mean_of(losses), watch=watch)

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Keep what the step's global crops looked like."""
        for seen, made in zip(watch, views, strict=True):
            for crop in range(GLOBAL_CROPS):
                index = made["global"][crop].index
                assert index is not None
                self.bank(crop).write(index, seen[f"bank{crop}"])

    def trivial(self, batch: int) -> float:
        """`ln K`: equal similarity with all clusters."""
        return math.log(self.config.prototypes)
