"""CPC: from a causal summary of the segments so far, pick each later segment among all others.

There is no official code. The sequence runs along time where a domain has it, else down the first axis; segments beside
one another share a recurrent net that also reads the mean of their row. Every segment is encoded by itself, so nothing
leaks but through batch norms: use a backbone without them (ViTs have none). Candidates are all segments that are
anybody's target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from ssl_platform.errors import ConfigError
from ssl_platform.losses.sequence import Source, future_info_nce
from ssl_platform.nn.backbone import Backbone
from ssl_platform.objectives.base import Objective, ObjectiveConfig, objective
from ssl_platform.objectives.settings import Size
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, View, Views
from ssl_platform.views.tiles import cut, seen


@objective(
    "cpc",
    needs=Plan.augmented(1, grid=True, batch_coupled=True),
    paper="van den Oord, Li, Vinyals: Representation Learning with Contrastive Predictive Coding, 2018, "
    "arXiv:1807.03748, eq. 3-4",
)
class CPC(Objective):
    """Predict later segments of a sequence contrastively."""

    class Config(ObjectiveConfig):
        """Settings of CPC; the defaults are those for images."""

        segments: Size = Field(7, ge=2, description="segments along each axis, where so many hold a patch each")
        overlap: float = Field(0.5, ge=0, lt=1, description="share of a segment that lies in the next one")
        first: Size = Field(2, description="segments from the newest seen to the first predicted: beyond the overlap")
        horizons: Size = Field(5, description="segments ahead that are predicted, where the sequence is long enough")
        hidden: Size = Field(256, description="width of the recurrent context")
        negatives: Source = Field("all", description="candidates: all segments, those of the own sequence or of others")

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Lay out the segments; make the context net and one map a horizon.

        Raises:
            ConfigError: the sequence has too few segments to predict one.
        """
        c, spec = self.config, backbone.spec
        assert spec is not None
        spatial = spec.layout.spatial
        self.axis = spatial.index("T") if "T" in spatial else 0
        self.counts = tuple(self.fitting(n, p) for n, p in zip(spec.size, spec.patch, strict=True))
        self.steps, self.lanes = self.counts[self.axis], math.prod(self.counts) // self.counts[self.axis]
        ahead = min(c.horizons, self.steps - c.first)
        if ahead < 1:
            raise ConfigError(
                f"cpc finds {self.steps} segments along {spatial[self.axis]} and predicts {c.first} ahead: raise "
                "views.global_size, or lower backbone.patch or objective.first"
            )
        width = backbone.embed_dim
        self.context = nn.GRU(width if self.lanes == 1 else 2 * width, c.hidden, batch_first=True)
        self.maps = nn.ModuleList([nn.Linear(c.hidden, width, bias=False) for _ in range(ahead)])

    def fitting(self, cells: int, patch: int) -> int:
        """How many segments along an axis, such that each holds a patch."""
        return min(self.config.segments, int(1 + max(0.0, cells / patch - 1) / (1 - self.config.overlap)))

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Mean over horizons of InfoNCE among the segments of the batch."""
        z, valid = self.encoded(backbone, views[0])
        seen_so_far = self.summary(z, valid)
        c = self.config
        ahead = [w(seen_so_far[:, : self.steps - c.first - k]) for k, w in enumerate(self.maps)]
        loss = future_info_nce(ahead, z, c.first, valid, c.negatives)
        return Loss(loss, watch={"embedding": z.flatten(1, 2).mean(dim=1)})

    def encoded(self, backbone: Backbone, view: View) -> tuple[Tensor, Tensor | None]:
        """`[B, T, J, D]` features of every segment, and `[B, T, J]` which show anything, or None."""
        segments = self.cut(view)
        real = seen(segments)
        z = self.ordered(backbone(segments).pooled, len(view))
        if real is None:
            return z, None
        valid = self.ordered(real, len(view))
        return torch.where(valid[..., None], z, torch.zeros_like(z)), valid

    def cut(self, view: View) -> View:
        """The segments as a view of `B * T * J` samples, in row-major order of their places."""
        sizes, starts = zip(
            *(self.along(n, k) for n, k in zip(view.x.shape[2:], self.counts, strict=True)), strict=True
        )
        first = [torch.arange(k, device=view.x.device) * s for k, s in zip(self.counts, starts, strict=True)]
        places = torch.stack(torch.meshgrid(*first, indexing="ij"), dim=-1).flatten(0, -2)  # [T J, S]
        return cut(view, places.expand(len(view), -1, -1), sizes)

    def along(self, cells: int, count: int) -> tuple[int, int]:
        """Cells of a segment along an axis, and from the start of one to the next."""
        size = max(1, int(cells / (1 + (count - 1) * (1 - self.config.overlap)) + 1e-6))
        return size, (cells - size) // max(1, count - 1)

    def ordered(self, values: Tensor, batch: int) -> Tensor:
        """`[B * T * J, ...]` in row-major order of places to `[B, T, J, ...]`, the sequence's axis first."""
        grid = values.unflatten(0, (batch, *self.counts)).movedim(1 + self.axis, 1)
        return grid.flatten(2, len(self.counts)) if len(self.counts) > 1 else grid.unsqueeze(2)

    def summary(self, z: Tensor, valid: Tensor | None) -> Tensor:
        """`[B, T, J, H]` context: of segments `[:, : t + 1]` at t, never of later ones."""
        seen_here = z
        if self.lanes > 1:
            share = torch.ones_like(z[..., :1]) if valid is None else valid[..., None].to(z.dtype)
            row = (z * share).sum(dim=2, keepdim=True) / share.sum(dim=2, keepdim=True).clamp_min(1)
            seen_here = torch.cat((z, row.expand_as(z)), dim=-1)
        made: Tensor = self.context(seen_here.transpose(1, 2).flatten(0, 1))[0]  # [B J, T, H]
        return made.unflatten(0, (len(z), self.lanes)).transpose(1, 2)

    def trivial(self, batch: int) -> float:
        """`ln N`: all N candidates alike."""
        own = (self.steps - self.config.first) * self.lanes
        count: Mapping[Source, int] = {"all": batch * own, "own": own, "others": (batch - 1) * own + 1}
        return math.log(count[self.config.negatives])
