"""The contract of an intensity operation, and what it may look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.types import Channel, Layout, PartBatch
from ssl_platform.views.statistics import mean_std, value_range


@dataclass(frozen=True)
class Context:
    """What an operation may look at besides the values.

    The statistics are those of `x` when the context was made: the domain's operations see the view as cut, the
    generic ones the view as the domain left it. They count valid cells only.

    Attributes:
        layout: of the domain.
        x: `[B, C, *size]`, or `[B, N, C]` for point sets; statistics derive from it.
        valid: `[B, *size]` (or `[B, N]`) bool, or None.
        channel_valid: `[B, C]` bool, or None.
        spacing: `[B, S]` physical size of a cell.
        channels: channel names, length C.
        strength: multiplier of all strengths (`views.strength`); 0 for views without intensity changes.
        meta: `{name: [B]}` facts of the samples.
    """

    layout: Layout
    x: Tensor
    valid: Tensor | None
    channel_valid: Tensor | None
    spacing: Tensor
    channels: tuple[str, ...]
    strength: float = 1.0
    meta: dict[str, Tensor] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, ...]:
        """Cells along each spatial axis, `(N,)` for point sets."""
        return tuple(self.x.shape[1:2] if self.layout.points else self.x.shape[2:])

    def spread(self, values: Tensor) -> Tensor:
        """`[B, C]` (or `[B, 1]`) shaped to multiply `x`."""
        if self.layout.points:
            return values[:, None, :]
        return values.view(*values.shape, *(1 for _ in self.size))

    def channel(self, name: str) -> Channel:
        """The layout's record of a channel, or one without facts for unknown names."""
        return next((c for c in self.layout.channels if c.name == name), Channel(name))

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        return mean_std(self.x, self.valid, points=self.layout.points)

    @cached_property
    def _range(self) -> tuple[Tensor, Tensor]:
        return value_range(self.x, self.valid, points=self.layout.points)

    @property
    def mean(self) -> Tensor:
        """`[B, C]` mean of valid values."""
        return self._moments[0]

    @property
    def std(self) -> Tensor:
        """`[B, C]` standard deviation of valid values."""
        return self._moments[1]

    @property
    def low(self) -> Tensor:
        """`[B, C]` least valid value."""
        return self._range[0]

    @property
    def high(self) -> Tensor:
        """`[B, C]` largest valid value."""
        return self._range[1]


class Operation:
    """Changes the values of a view, never its geometry or validity.

    Works on the whole batch at once: a sample the operation was not drawn for gets parameters that leave it as it is.
    Nothing may depend on the other samples, on the global generator, or on a value read back by the host.

    Attributes:
        name: unique; `views.off=[name]` leaves it out. A domain's operation replaces a generic one of that name.
        always: whether views without intensity changes (clean ones too) go through it as well, with strength 0: it
            then does what the encoder's input needs (a display window), without any jitter.
    """

    name: ClassVar[str] = ""
    always: ClassVar[bool] = False

    def front_end(self, part: PartBatch) -> PartBatch:
        """What was read in the layout's axes, for domains that store another form (waveforms for spectrograms).

        Runs once a batch on the device, before any view is cut, whatever `views.off` says. Spacing, origin and channels
        are those of the result already. The default changes nothing.
        """
        return part

    def apply(self, x: Tensor, context: Context, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        """Apply to a batch.

        Args:
            x: `[B, C, *size]` float32, or `[B, N, C]` for point sets.
            context: layout, validity, spacing and statistics.
            draws: the samples' stream for this operation alone.

        Returns:
            The new values, and `{name: [B, k]}` of every parameter drawn. A parameter `absent [B, C]` is 1 where a
            channel was taken away: the view's `channel_valid` then says so.
        """
        raise NotImplementedError


def drawn(draws: Draws, probability: float, *shape: int) -> Tensor:
    """`[B, *shape]` bool, whether an operation applies to each sample."""
    return draws.chance("apply", probability, *(shape or (1,)))


def between(draws: Draws, name: str, low: float, high: float, *shape: int) -> Tensor:
    """`[B, *shape]` float32, uniform in `[low, high)`."""
    return draws.uniform(name, *(shape or (1,)), low=low, high=high)


def where_drawn(chosen: Tensor, value: Tensor, neutral: float) -> Tensor:
    """`value` where chosen, else `neutral`."""
    return torch.where(chosen, value, torch.full_like(value, neutral))
