"""Context encoder: paint the removed part of a view from a bottleneck vector of what is left.

The defaults are those for features: holes of random shape, squared error only. `hole=centre adversarial=0.001` is the
published setting for pictures. Departures from the published code: cells of the hole are invalid to the encoder, which
sees the mean there as published and, where it has tokens, none at all; the bottleneck follows the pooled features, so
that any backbone will do; contents are in deviations of the data rather than in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.errors import ConfigError
from ssl_platform.losses.adversarial import critic_loss, fooling_loss
from ssl_platform.losses.masked import masked_mean
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.painter import Critic, Painter, held
from ssl_platform.nn.validity import value_valid
from ssl_platform.objectives.base import Export, Objective, ObjectiveConfig, Player, objective, trainable
from ssl_platform.objectives.settings import Size
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, View, Views
from ssl_platform.views.tiles import cut

_INTERPOLATION = ("linear", "bilinear", "trilinear")


@objective(
    "context-encoder",
    needs=Plan.single(grid=True),
    paper="Pathak, Krahenbuhl, Donahue, Darrell, Efros: Context Encoders: Feature Learning by Inpainting, CVPR 2016, "
    "arXiv:1604.07379, eq. 1-3",
)
class ContextEncoder(Objective):
    """Inpaint a hole in a view, by squared error and, if asked, against a critic of the hole."""

    class Config(ObjectiveConfig):
        """Settings of context encoders."""

        hole: Literal["region", "block", "centre"] = Field(
            "region", description="random shapes, a box anywhere, or a box in the middle"
        )
        share: float = Field(0.25, gt=0, lt=1, description="of the view's cells that is removed")
        coarseness: float = Field(
            0.06,
            gt=0,
            le=1,
            description="resolution of the noise that shapes regions, over the view's (at least 4 cells)",
        )
        overlap: float = Field(
            4 / 64, ge=0, lt=0.5, description="rim of a box that is predicted though it is shown, over the box's side"
        )
        rim: float = Field(10.0, ge=0, description="weight of the rim's error")
        adversarial: float = Field(0.0, ge=0, lt=1, description="weight of the critic; 0.001 as published for pictures")
        critic_lr: float = Field(0.1, gt=0, description="learning rate of the critic over the run's")
        hidden: Size = Field(4000, description="width of the bottleneck")
        painter_dim: Size = Field(64, description="channels of the painter's finest map, at half the resolution")

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Make bottleneck, painter and, where it counts, the critic."""
        c = self.config
        assert backbone.spec is not None
        size, channels = backbone.spec.size, len(backbone.spec.channels)
        self.channels = backbone.spec.channels
        self.box = tuple(max(1, round(n * c.share ** (1 / len(size)))) for n in size)
        self.bottleneck = nn.Sequential(nn.Linear(backbone.embed_dim, c.hidden), nn.LeakyReLU(0.2))
        self.painter = Painter(c.hidden, channels, size, c.painter_dim)
        self.critic: Critic | None = None
        if c.adversarial:
            if c.hole == "region":
                raise ConfigError(
                    "objective.adversarial needs holes of one shape, for the critic sees nothing else: "
                    "objective.hole=centre or block"
                )
            self.critic = Critic(channels, self.box, c.painter_dim)

    def players(self, backbone: Backbone) -> list[Player]:
        """Encoder and painter; and the critic, which learns more slowly."""
        critic = [] if self.critic is None else trainable([self.critic])
        theirs = {id(p) for p in critic}
        main = Player("main", [p for p in trainable([backbone, self]) if id(p) not in theirs])
        return [main, Player("critic", critic, lr=self.config.critic_lr)] if critic else [main]

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """Weighted squared error in the hole; with a critic, its own loss and that of fooling it."""
        view = views[0]
        hole, weight = self.hole(view)
        features = backbone(self.seen(view, hole)).pooled
        painted = self._shown(self.painter(self.bottleneck(features)), view)
        target = backbone.normalise(view).x
        real = value_valid(view, (1,) * (view.x.ndim - 2))
        counted = (weight > 0)[:, None].expand_as(target)
        counted = counted if real is None else counted & real
        error = masked_mean(weight[:, None] * (painted - target).square(), counted)
        if self.critic is None:
            return Loss(error, watch={"embedding": features})
        zero = torch.zeros((), dtype=painted.dtype, device=painted.device)
        made = painted if real is None else torch.where(real, painted, zero)
        start = self._start(view)[:, None]
        made, true = (cut(view.replace(x=x, valid=None), start, self.box).x for x in (made, target))
        fooling = fooling_loss(held(self.critic, made))
        critic = critic_loss(self.critic(true), self.critic(made.detach()))
        a = self.config.adversarial
        terms = {"reconstruction": error, "fooling": fooling, "critic": critic}
        return Loss((1 - a) * error + a * fooling + critic, terms=terms, watch={"embedding": features})

    def hole(self, view: View) -> tuple[Tensor, Tensor]:
        """`[B, *size]` bool, which cells are removed, and the weight of each cell's error (0: it does not count)."""
        if self.config.hole == "region":
            hole = self._region(view)
            return hole, hole.to(view.x.dtype)
        start = self._start(view)
        whole = _box(view, start, self.box)
        rim = [min(round(self.config.overlap * n), (n - 1) // 2) for n in self.box]
        inner_start = torch.stack([start[:, a] + r for a, r in enumerate(rim)], 1)
        hole = _box(view, inner_start, tuple(n - 2 * r for n, r in zip(self.box, rim, strict=True)))
        return hole, whole.to(view.x.dtype) * torch.where(hole, 1.0, self.config.rim).to(view.x.dtype)

    def seen(self, view: View, hole: Tensor) -> View:
        """The view with an invalid hole."""
        return view.replace(valid=~hole if view.valid is None else view.valid & ~hole)

    def _region(self, view: View) -> Tensor:
        """Where smooth noise is lowest, in exactly the share asked for."""
        size = view.x.shape[2:]
        coarse = [min(n, max(4, round(self.config.coarseness * n))) for n in size]
        noise = view.random.uniform("region", *coarse)[:, None]
        field = F.interpolate(noise, size=tuple(size), mode=_INTERPOLATION[len(size) - 1], align_corners=True)[:, 0]
        count = max(1, round(self.config.share * math.prod(size)))
        last = field.flatten(1).kthvalue(count, dim=1).values
        return field <= last.view(-1, *(1 for _ in size))

    def _start(self, view: View) -> Tensor:
        """`[B, S]` int64 first cell of the box."""
        room = [n - b for n, b in zip(view.x.shape[2:], self.box, strict=True)]
        if self.config.hole == "centre":
            return torch.stack([torch.full_like(view.random.keys, r // 2) for r in room], 1)
        return torch.stack([view.random.integer(f"hole/{a}", r + 1) for a, r in enumerate(room)], 1)

    def _shown(self, painted: Tensor, view: View) -> Tensor:
        """The channels of the painting that a view has, in its order."""
        if not view.channels or view.channels == self.channels:
            return painted
        return torch.stack([painted[:, self.channels.index(name)] for name in view.channels], 1)

    def export(self, backbone: Backbone) -> Export:
        """The encoder."""
        return Export(encoder=backbone, parts={"bottleneck": self.bottleneck, "painter": self.painter})

    def trivial(self, batch: int) -> float | None:
        """The variance of the data, where only the squared error counts."""
        return None if self.config.adversarial else 1.0


def _box(view: View, start: Tensor, size: tuple[int, ...]) -> Tensor:
    """`[B, *cells]` bool, True in the box."""
    cells = view.x.shape[2:]
    inside: Tensor | None = None
    for axis, (length, n) in enumerate(zip(cells, size, strict=True)):
        place = torch.arange(length, device=start.device)[None]
        first = start[:, axis, None]
        line = ((place >= first) & (place < first + n)).view(
            -1, *(length if a == axis else 1 for a in range(len(cells)))
        )
        inside = line if inside is None else inside & line
    assert inside is not None
    return inside
