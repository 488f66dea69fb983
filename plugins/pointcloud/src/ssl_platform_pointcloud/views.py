"""View operations on the features of points; coordinates are the platform's own business."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.views.operation import Context, Operation, between, drawn, where_drawn
from ssl_platform_pointcloud.fields import COLOUR, GROUPS


def operations() -> tuple[Operation, ...]:
    """The view operations of point clouds."""
    return ColourJitter(), IntensityGain(), FeatureDrop()


def columns(context: Context, names: tuple[str, ...]) -> Tensor:
    """`[F]` float, 1 for the channels that are called so."""
    device = context.x.device
    return torch.cat([torch.full((1,), float(name in names), device=device) for name in context.channels])


@dataclass(frozen=True)
class FeatureDrop(Operation):
    """Takes colours, normals or intensity away from whole clouds, so that an encoder does without them.

    Models trained with all features fail on scanners that lack one. The view says that they are absent. It replaces the
    generic operation that puts the mean in their place.

    Attributes:
        probability: that a group of features is taken away.
    """

    name: ClassVar[str] = "channel-drop"
    probability: float = 0.2

    def apply(self, x: Tensor, context: Context, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        """Parameters: `absent [B, F]`."""
        absent = torch.zeros(len(x), x.shape[-1], device=x.device)
        known = {name for group in GROUPS.values() for name in group}
        groups = {**GROUPS, **{name: (name,) for name in context.channels if name not in known}}
        for group, names in groups.items():
            own = columns(context, names)
            lost = draws.chance(group, min(1.0, self.probability * context.strength), 1).float()
            absent = absent + own * lost
        return torch.where(absent[:, None] > 0, torch.zeros((), device=x.device), x), {"absent": absent}


@dataclass(frozen=True)
class ColourJitter(Operation):
    """Changes exposure, white balance and contrast of colours in [0, 1]: what differs between cameras and hours.

    Attributes:
        probability: that a cloud is changed.
        gain: each colour is multiplied by `exp` of up to this.
        offset: all are moved by up to this.
    """

    name: ClassVar[str] = "colour-jitter"
    probability: float = 0.8
    gain: float = 0.2
    offset: float = 0.1

    def apply(self, x: Tensor, context: Context, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        """Parameters: `gain [B, F]` and `offset [B, 1]`, 1 and 0 where nothing changed."""
        own = columns(context, COLOUR)
        chosen = drawn(draws, self.probability)
        reach = self.gain * context.strength
        gain = torch.exp(between(draws, "all", -reach, reach) + between(draws, "each", -reach, reach, x.shape[-1]) / 2)
        gain = torch.where(own > 0, where_drawn(chosen.expand_as(gain), gain, 1.0), torch.ones_like(gain))
        move = self.offset * context.strength
        offset = where_drawn(chosen, between(draws, "offset", -move, move), 0.0)
        changed = (x * gain[:, None] + offset[:, None]).clamp(0, 1)
        return torch.where(own > 0, changed, x), {"gain": gain, "offset": offset}


@dataclass(frozen=True)
class IntensityGain(Operation):
    """Multiplies intensity: it falls with range and differs between scanners by a factor.

    Attributes:
        probability: that a cloud is changed.
        limit: the factor is `exp` of up to this.
    """

    name: ClassVar[str] = "intensity-gain"
    probability: float = 0.5
    limit: float = 0.3

    def apply(self, x: Tensor, context: Context, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        """Parameters: `gain [B, 1]`, 1 where nothing changed."""
        reach = self.limit * context.strength
        gain = where_drawn(drawn(draws, self.probability), torch.exp(between(draws, "gain", -reach, reach)), 1.0)
        return torch.where(columns(context, GROUPS["intensity"]) > 0, x * gain[:, None], x), {"gain": gain}
