"""Generic intensity operations of any rank, each allowed by a symmetry of the Layout.

Applied in the order of `GENERIC`. Strengths are multiples of each channel's own spread over valid cells, so they mean
the same in HU, reflectance or dB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.types import Layout
from ssl_platform.views.constants import flags
from ssl_platform.views.noise import normal_field
from ssl_platform.views.operation import Context, Operation, drawn, where_drawn
from ssl_platform.views.symmetry import allows, axes

Applied = tuple[Tensor, dict[str, Tensor]]


@dataclass(frozen=True)
class Blur:
    """Gaussian blur. It has no `apply`: the resample that cuts the view does it on the way.

    The width is equal in physical units along all blurred axes; time is never blurred.

    Attributes:
        probability: that a sample is blurred.
        low, high: standard deviation in cells of the finest blurred axis.
    """

    name: ClassVar[str] = "blur"
    probability: float = 0.5
    low: float = 0.3
    high: float = 1.0

    def sigma(self, layout: Layout, spacing: Tensor, strength: float, draws: Draws) -> Tensor:
        """`[B, S]` standard deviation in cells; zero for samples that stay sharp.

        Args:
            layout: names the blurred axes.
            spacing: `[B, S]` physical size of a view cell.
            strength: multiplier of the width.
            draws: the samples' stream for this operation.
        """
        device = spacing.device
        named = axes(layout, self.name)
        blurred = flags(tuple(a in named and not self._time(layout, a) for a in range(layout.rank)), device)
        finest = torch.where(blurred, spacing, torch.full_like(spacing, torch.inf)).amin(1, keepdim=True)
        width = draws.uniform("sigma", 1, low=self.low * strength, high=self.high * strength)
        width = where_drawn(drawn(draws, self.probability), width, 0.0)
        return torch.where(blurred, width * finest / spacing, torch.zeros_like(spacing))

    @staticmethod
    def _time(layout: Layout, axis: int) -> bool:
        return layout.rank > 1 and layout.spatial[axis] == "T"


@dataclass(frozen=True)
class Gamma(Operation):
    """`low + range * t ** gamma`, for `t` in `[0, 1]` over each channel's valid range.

    Attributes:
        probability: that a sample is changed.
        log_range: the exponent is log-uniform in `exp(+-log_range * strength)`.
    """

    name: ClassVar[str] = "gamma"
    probability: float = 0.5
    log_range: float = 0.35

    def apply(self, x: Tensor, context: Context, draws: Draws) -> Applied:
        """Parameters: `exponent [B, 1]`."""
        limit = self.log_range * context.strength
        exponent = torch.exp(draws.uniform("exponent", 1, low=-limit, high=limit))
        exponent = where_drawn(drawn(draws, self.probability), exponent, 1.0)
        low, extent = context.spread(context.low), (context.high - context.low).clamp(min=1e-12)
        # as exp(gamma * log(x - low) + (1 - gamma) * log(extent)): two thirds of the time of pow
        shift = context.spread((1 - exponent) * extent.log())
        changed = (x - low).log_().mul_(context.spread(exponent)).add_(shift).exp_().add_(low)
        return changed, {"exponent": exponent}


@dataclass(frozen=True)
class Gain(Operation):
    """Multiplies each channel about its mean, or about zero where the layout's bounds start at zero.

    The limit is nnU-Net's for brightness and contrast of volumes (Isensee et al., 2021, supplement).

    Attributes:
        probability: that a sample is changed.
        limit: the factor is uniform in `1 +- limit * strength`.
    """

    name: ClassVar[str] = "gain"
    probability: float = 0.8
    limit: float = 0.25

    def apply(self, x: Tensor, context: Context, draws: Draws) -> Applied:
        """Parameters: `factor [B, C]`."""
        limit = min(0.9, self.limit * context.strength)
        channels = len(context.channels) or context.mean.shape[1]
        factor = draws.uniform("factor", channels, low=1 - limit, high=1 + limit)
        factor = where_drawn(drawn(draws, self.probability), factor, 1.0)
        bounds = [context.channel(name).bounds for name in context.channels] or [None] * channels
        from_zero = flags(tuple(b is not None and b[0] == 0 for b in bounds), x.device)
        shift = torch.where(from_zero, torch.zeros_like(factor), context.mean * (1 - factor))
        return (x * context.spread(factor)).add_(context.spread(shift)), {"factor": factor}


@dataclass(frozen=True)
class Offset(Operation):
    """Adds a constant to each channel.

    Attributes:
        probability: that a sample is changed.
        limit: the constant is uniform in `+-limit * strength` standard deviations of the channel.
    """

    name: ClassVar[str] = "offset"
    probability: float = 0.8
    limit: float = 0.25

    def apply(self, x: Tensor, context: Context, draws: Draws) -> Applied:
        """Parameters: `shift [B, C]` in units of the channel."""
        limit = self.limit * context.strength
        shift = draws.uniform("shift", context.std.shape[1], low=-limit, high=limit) * context.std
        shift = where_drawn(drawn(draws, self.probability), shift, 0.0)
        return x + context.spread(shift), {"shift": shift}


@dataclass(frozen=True)
class ChannelDrop(Operation):
    """Replaces whole channels by their mean; validity stays, and at least one valid channel is kept.

    Attributes:
        probability: that a sample loses channels.
        share: probability that a channel of such a sample is lost.
    """

    name: ClassVar[str] = "channel-drop"
    probability: float = 0.3
    share: float = 0.25

    def apply(self, x: Tensor, context: Context, draws: Draws) -> Applied:
        """Parameters: `dropped [B, C]`, 1 where a channel was lost."""
        count = context.mean.shape[1]
        order = draws.uniform("order", count)
        if context.channel_valid is not None:
            order = torch.where(context.channel_valid, order, torch.full_like(order, -1.0))
        kept = order >= order.amax(1, keepdim=True)
        share = min(1.0, self.share * context.strength)
        dropped = drawn(draws, self.probability) & draws.chance("drop", share, count) & ~kept
        return torch.where(context.spread(dropped), context.spread(context.mean), x), {"dropped": dropped.float()}


@dataclass(frozen=True)
class CutOut(Operation):
    """Fills a box with each channel's mean (DeVries and Taylor, 2017); validity stays, the box is part of the view.

    Attributes:
        probability: that a sample is changed.
        low, high: side of the box as a fraction of the view's, along each axis.
    """

    name: ClassVar[str] = "cutout"
    probability: float = 0.3
    low: float = 0.15
    high: float = 0.35

    def apply(self, x: Tensor, context: Context, draws: Draws) -> Applied:
        """Parameters: `box [B, 2 S]`, first and last edge along each axis as fractions of the view; equal if none."""
        size = context.size
        rank = len(size)
        high = min(0.9, self.high * context.strength)
        side = draws.uniform("side", rank, low=min(self.low, high), high=high)
        side = where_drawn(drawn(draws, self.probability), side, 0.0)
        start = draws.uniform("place", rank) * (1 - side)
        inside = None
        for axis, n in enumerate(size):
            centre = (torch.arange(n, device=x.device) + 0.5) / n
            along = (centre >= start[:, axis, None]) & (centre < (start + side)[:, axis, None])
            along = along.view(len(x), 1, *(n if a == axis else 1 for a in range(rank)))
            inside = along if inside is None else inside & along
        assert inside is not None  # rank is at least one
        filled = torch.where(inside, context.spread(context.mean), x)
        return filled, {"box": torch.cat([start, start + side], 1)}


@dataclass(frozen=True)
class Noise(Operation):
    """Adds white Gaussian noise.

    Attributes:
        probability: that a sample is changed.
        limit: its standard deviation is uniform in `[0, limit * strength)` of the channel's.
    """

    name: ClassVar[str] = "noise"
    probability: float = 0.5
    limit: float = 0.1

    def apply(self, x: Tensor, context: Context, draws: Draws) -> Applied:
        """Parameters: `std [B, C]` in units of the channel."""
        std = draws.uniform("std", 1, low=0.0, high=self.limit * context.strength) * context.std
        std = where_drawn(drawn(draws, self.probability), std, 0.0)
        field = normal_field(draws, "field", x[0].numel()).view_as(x)
        return field.mul_(context.spread(std)).add_(x), {"std": std}


GENERIC: tuple[Operation, ...] = (Gamma(), Gain(), Offset(), ChannelDrop(), CutOut(), Noise())


def generic(layout: Layout) -> tuple[Operation, ...]:
    """The generic operations a layout allows, in order. On point sets they act on features, never on coordinates."""
    fit = (o for o in GENERIC if allows(layout, o.name))
    return tuple(o for o in fit if not (layout.points and o.name in ("cutout", "noise")))
