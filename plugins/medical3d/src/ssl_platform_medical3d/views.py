"""The physics of scanners as view operations: the window CT is looked at through, and the bias field of MR coils."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import ClassVar

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.views.interpolation import apply_axes
from ssl_platform.views.operation import Context, Operation, drawn, where_drawn
from ssl_platform_medical3d.options import Medical3DOptions

_ORDER = 3  # of the bias field's polynomials: coil sensitivity varies over the whole body, not within organs


def operations(options: Medical3DOptions | None = None) -> tuple[Operation, ...]:
    """The view operations of medical volumes under `data.*`."""
    options = options if options is not None else Medical3DOptions()
    return HounsfieldWindow(window=options.hu_window), BiasField()


def hounsfield_channels(context: Context) -> tuple[bool, ...]:
    """Which channels hold Hounsfield units: by unit, or by the name `ct` (`ct-0`, `ct-1` for frames)."""
    return tuple(context.channel(n).unit == "HU" or n.split("-")[0].lower() == "ct" for n in context.channels)


@dataclass(frozen=True)
class HounsfieldWindow(Operation):
    """Clips CT to a window whose level and width vary; values stay in HU.

    Every view goes through it (metal and padding carry no anatomy), those without intensity changes through the exact
    window.

    Attributes:
        window: lowest and highest HU shown.
        level: the window moves by up to `level * strength` of its width.
        width: its width is log-uniform in `exp(+-width * strength)`.
    """

    name: ClassVar[str] = "hu-window"
    always: ClassVar[bool] = True
    window: tuple[float, float] = (-1000.0, 1000.0)
    level: float = 0.05
    width: float = 0.2

    def apply(self, x: Tensor, context: Context, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        """Parameters: `range [B, 2]` in HU. Channels of other modalities are left as they are."""
        hounsfield = hounsfield_channels(context)
        if not any(hounsfield):
            return x, {}
        low, high = self.window
        middle, extent = (low + high) / 2, high - low
        move, stretch = self.level * context.strength, self.width * context.strength
        centre = middle + draws.uniform("level", 1, low=-move, high=move) * extent
        half = torch.exp(draws.uniform("width", 1, low=-stretch, high=stretch)) * (extent / 2)
        drawn_range = torch.cat([centre - half, centre + half], 1)
        least = torch.cat([centre - half if ct else torch.full_like(half, -torch.inf) for ct in hounsfield], 1)
        largest = torch.cat([centre + half if ct else torch.full_like(half, torch.inf) for ct in hounsfield], 1)
        return torch.clamp(x, context.spread(least), context.spread(largest)), {"range": drawn_range}


@dataclass(frozen=True)
class BiasField(Operation):
    """Multiplies all but CT by a smooth field: `exp` of a polynomial of third order (Van Leemput and others, 1999).

    All channels of an item share the field: they were taken with the same coils.

    Attributes:
        probability: that a sample is changed.
        limit: standard deviation of the coefficients at strength 1.
    """

    name: ClassVar[str] = "bias-field"
    probability: float = 0.5
    limit: float = 0.15

    def apply(self, x: Tensor, context: Context, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        """Parameters: `coefficients [B, K]` of the products of Legendre polynomials of total order 1 to 3."""
        others = [not ct for ct in hounsfield_channels(context)]
        if not any(others):
            return x, {}
        rank = len(context.size)
        chosen = _terms(rank, x.device)
        coefficients = draws.normal("field", chosen.shape[0]).clamp(-2, 2) * (self.limit * context.strength)
        coefficients = where_drawn(drawn(draws, self.probability), coefficients, 0.0)
        cube = (coefficients @ chosen).view(len(x), *(_ORDER + 1,) * rank)
        field = torch.exp(apply_axes(cube, [_basis(n, x.device).expand(len(x), -1, -1) for n in context.size]))
        if all(others):
            return x * field[:, None], {"coefficients": coefficients}
        one = torch.ones((), device=x.device)
        fields = torch.stack([field if other else one.expand_as(field) for other in others], 1)
        return x * fields, {"coefficients": coefficients}


@lru_cache(maxsize=16)
def _basis(size: int, device: torch.device) -> Tensor:
    """`[1, size, 4]` Legendre polynomials of order 0 to 3 at the cell centres of `[-1, 1]`."""
    t = (torch.arange(size, dtype=torch.float32) + 0.5) / size * 2 - 1
    polynomials = [torch.ones_like(t), t, (3 * t**2 - 1) / 2, (5 * t**3 - 3 * t) / 2]
    return torch.stack(polynomials, 1)[None].to(device)


@lru_cache(maxsize=16)
def _terms(rank: int, device: torch.device) -> Tensor:
    """`[K, 4 ** rank]` one-hot rows of the products whose total order is 1 to 3."""
    orders = list(product(range(_ORDER + 1), repeat=rank))
    chosen = [i for i, order in enumerate(orders) if 1 <= sum(order) <= _ORDER]
    return torch.eye(len(orders))[chosen].to(device)
