"""Colorization: predict, cell by cell, the channels that were held out from those that are left.

Departures from the published code: not the colours of an image from its lightness but any channels from any others, so
that bands, stains and modalities will do; by default each sample holds out a drawn half of its channels, and no weight
of the encoder's first layer is left without training. Every channel has bins of its own (deviations of the data) in
place of the 313 pairs of a and b, and how often they occur is counted while training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.distributed import all_sum
from ssl_platform.errors import ConfigError, did_you_mean
from ssl_platform.losses.quantised import annealed_mean, binned_cross_entropy, rebalanced, soft_bins
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.constant import row
from ssl_platform.nn.painter import sample_norm
from ssl_platform.nn.patches import crop, grid_of, patchify, unpatchify
from ssl_platform.nn.sparse import CONV
from ssl_platform.nn.validity import value_valid
from ssl_platform.objectives.base import Export, Objective, ObjectiveConfig, objective
from ssl_platform.objectives.settings import Positive, Size, Weight
from ssl_platform.plan import Plan
from ssl_platform.types import Features, Loss, Step, View, Views

RANGE = 3.0  # deviations on either side of the mean that bins cover
_INTERPOLATION = ("linear", "bilinear", "trilinear")


@objective(
    "colorization",
    needs=Plan.single(offers=("tokens",), grid=True, min_channels=2),
    paper="Zhang, Isola, Efros: Colorful Image Colorization, ECCV 2016, arXiv:1603.08511, eq. 2-5",
)
class Colorization(Objective):
    """Classify the quantised values of held-out channels at a quarter of the resolution."""

    class Config(ObjectiveConfig):
        """Settings of colorization."""

        held: tuple[str, ...] = Field((), description="channels to predict from the others; none named: drawn anew")
        share: float = Field(
            0.5, gt=0, lt=1, description="of a sample's channels that is held out where they are drawn"
        )
        bins: int = Field(25, ge=2, description="bins of a channel, over three deviations on either side")
        nearest: Size = Field(5, description="bins that share a value")
        sigma: Positive = Field(0.5, description="of the Gaussian by which they share it, in bins")
        mix: float = Field(0.5, gt=0, le=1, description="share of equal weights among the weights of rare bins")
        prior_sigma: Weight = Field(0.5, description="of the Gaussian that smooths how often bins occur, in bins")
        prior_momentum: float = Field(0.99, ge=0, lt=1, description="of the counts of how often bins occur")
        temperature: Positive = Field(0.38, description="of the mean that is shown as the prediction")
        hidden: Size = Field(256, description="channels of the head")

    prior: Tensor

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make the head and the counts."""
        c = self.config
        assert backbone.spec is not None
        self.spec, self.channels = backbone.spec, tuple(backbone.spec.channels)
        for name in c.held:
            if name not in self.channels:
                close = did_you_mean(name, self.channels)
                raise ConfigError(f"objective.held={name}: the data has the channels {', '.join(self.channels)}{close}")
        if len(set(c.held)) == len(self.channels):
            raise ConfigError("objective.held names all channels of the data: leave one to predict from")
        size, conv = backbone.spec.size, CONV[len(backbone.spec.size) - 1]
        coarse = [n // q for n, q in zip(size, quarters(size), strict=True)]
        grid = grid_of(size, backbone.spec.patch)
        self.cells = tuple(max(1, -(-n // g)) for n, g in zip(coarse, grid, strict=True))  # of a token
        self.entry = nn.Linear(backbone.embed_dim, c.hidden * math.prod(self.cells))
        self.body = nn.Sequential(
            sample_norm(c.hidden),
            nn.ReLU(),
            conv(c.hidden, c.hidden, 3, padding=1, bias=False),
            sample_norm(c.hidden),
            nn.ReLU(),
            conv(c.hidden, len(self.channels) * c.bins, 1),
        )
        self.register_buffer("prior", torch.full((len(self.channels), c.bins), 1 / c.bins))

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Rebalanced cross-entropy over the valid cells of held-out channels."""
        c, view = self.config, views[0]
        held = self.held(view)
        values, valid = self.values(backbone, view)  # [B, N, C]
        features = self.seen(backbone, view, held)
        logits = self.logits(features, view)  # [B, N, C, Q]
        target = soft_bins(values, self.centres(values), c.nearest, c.sigma)
        prior = self._own(self.prior, 0, view)
        loss = binned_cross_entropy(logits, target, rebalanced(prior, c.mix, c.prior_sigma), valid & held[:, None])
        zero = torch.zeros((), dtype=target.dtype, device=target.device)
        counts = torch.where(valid[..., None], target, zero).sum((0, 1))
        return Loss(loss, watch={"embedding": features.pooled, "bins": self._all(counts, view)})

    def held(self, view: View) -> Tensor:
        """`[B, C]` bool, channels that are predicted; where they are drawn, at least one, and at least one is left."""
        count = view.x.shape[1]
        if self.config.held:
            named = [float(name in self.config.held) for name in view.channels]
            return (row(named, torch.float32, view.x.device) > 0).expand(len(view), -1)
        score = view.random.uniform("held", count)
        if view.channel_valid is None:
            most = max(1, min(count - 1, round(self.config.share * count)))
            return score.argsort(1).argsort(1) < most
        there = view.channel_valid.sum(1, keepdim=True)
        score = score + (~view.channel_valid).to(score.dtype)
        most = (there * self.config.share).round().clamp_min(1).minimum(there - 1)
        return score.argsort(1).argsort(1) < most

    def seen(self, backbone: Backbone, view: View, held: Tensor) -> Features:
        """Features of the channels that are left: the others are absent."""
        left = ~held if view.channel_valid is None else view.channel_valid & ~held
        return backbone(view.replace(channel_valid=left))

    def values(self, backbone: Backbone, view: View) -> tuple[Tensor, Tensor]:
        """`[B, N, C]` means over blocks of four cells an axis, in deviations, and which are at least half valid."""
        x, block = backbone.normalise(view).x, quarters(view.x.shape[2:])
        whole = [n // q * q for n, q in zip(view.x.shape[2:], block, strict=True)]
        real = value_valid(view, (1,) * len(block))
        cut = patchify(crop(x, whole), block).unflatten(-1, (-1, x.shape[1]))  # [B, N, block, C]
        if real is None:
            return cut.mean(2), torch.ones_like(cut[:, :, 0], dtype=torch.bool)
        weight = patchify(crop(real, whole), block).unflatten(-1, (-1, x.shape[1]))
        zero = torch.zeros((), dtype=cut.dtype, device=cut.device)
        return torch.where(weight, cut, zero).sum(2) / weight.sum(2).clamp_min(1), weight.float().mean(2) >= 0.5

    def logits(self, features: Features, view: View) -> Tensor:
        """`[B, N, C, Q]` of every block and channel of the view."""
        tokens, grid = self._places(features, view)
        coarse = tuple(n // q for n, q in zip(view.x.shape[2:], quarters(view.x.shape[2:]), strict=True))
        x = unpatchify(self.entry(tokens), grid, self.cells, self.config.hidden)
        if tuple(x.shape[2:]) != coarse:
            x = F.interpolate(x, size=coarse, mode=_INTERPOLATION[len(coarse) - 1], align_corners=False)
        found = self.body(x).flatten(2).transpose(1, 2).unflatten(-1, (len(self.channels), -1))
        return self._own(found, 2, view)

    def predict(self, backbone: Backbone, view: View, held: Tensor) -> Tensor:
        """`[B, N, C]` values of every channel from those not held, in deviations."""
        logits = self.logits(self.seen(backbone, view, held), view)
        return annealed_mean(logits, self.centres(logits), self.config.temperature)

    def centres(self, like: Tensor) -> Tensor:
        """`[Q]` values of the bins."""
        return torch.linspace(-RANGE, RANGE, self.config.bins, dtype=like.dtype, device=like.device)

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Count how often bins occur, over micro-batches and ranks; the first step's counts replace uniform ones."""
        counts = all_sum(torch.stack([w["bins"] for w in watch]).sum(0))
        total = counts.sum(1, keepdim=True)
        share = torch.where(total > 0, counts / total.clamp_min(1e-12), self.prior)
        self.prior.lerp_(share.to(self.prior.dtype), 1.0 if step.step == 0 else 1.0 - self.config.prior_momentum)

    def export(self, backbone: Backbone) -> Export:
        """The encoder; the head goes along."""
        return Export(encoder=backbone, parts={"entry": self.entry, "body": self.body})

    def trivial(self, batch: int) -> float:
        """`ln Q`: all Q bins alike, at equal weights."""
        return math.log(self.config.bins)

    def _places(self, features: Features, view: View) -> tuple[Tensor, tuple[int, ...]]:
        """`[B, N, D]` one token a place, the mean over channels where each has its own, and the grid of places."""
        assert features.tokens is not None
        if features.grid is not None:
            return features.tokens, features.grid
        grid = grid_of(view.x.shape[2:], self.spec.patch)
        tokens = features.tokens.unflatten(1, (-1, math.prod(grid)))  # [B, C, N, D]
        if features.valid is None:
            return tokens.mean(1), grid
        count = features.valid.unflatten(1, (-1, math.prod(grid))).sum(1).clamp_min(1)
        return tokens.sum(1) / count[..., None], grid  # invalid tokens are zero

    def _rows(self, view: View) -> list[int] | None:
        """The number of each of the view's channels, or None where they are all, in order."""
        if not view.channels or tuple(view.channels) == self.channels:
            return None
        return [self.channels.index(name) for name in view.channels]

    def _own(self, values: Tensor, axis: int, view: View) -> Tensor:
        """Of values of all channels those of the view's."""
        rows = self._rows(view)
        return values if rows is None else torch.stack([values.select(axis, r) for r in rows], axis)

    def _all(self, values: Tensor, view: View) -> Tensor:
        """Values `[C, ...]` of the view's channels among those of all channels, zero where it has none."""
        rows = self._rows(view)
        if rows is None:
            return values
        zero = torch.zeros_like(values[0])
        return torch.stack([values[rows.index(r)] if r in rows else zero for r in range(len(self.channels))])


def quarters(size: Sequence[int]) -> tuple[int, ...]:
    """Cells of a block along each axis: four, or all where there are fewer."""
    return tuple(min(4, n) for n in size)
