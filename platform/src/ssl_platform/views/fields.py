"""Smooth random fields over a view: parameters of an augmentation that differ from place to place, on any rank.

Random field augmentations (Mansfield et al., 2023, arXiv:2311.03629). No code and no values are published: strengths
start from those of the global operations, and of the geometric fields only translation is done, which shears, turns and
scales locally. A view's geometry names its crop before the shift.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.types import Layout
from ssl_platform.views.constants import constant, flags
from ssl_platform.views.intensity import Applied, Gain, Offset
from ssl_platform.views.noise import normal_field
from ssl_platform.views.operation import Context, Operation, drawn, where_drawn
from ssl_platform.views.symmetry import allows, axes

_SIDE = 0.02  # standard deviation of a shift, as a fraction of the view's side
_CELLS = 16  # along each axis of a field over a point set


def gaussian_fields(draws: Draws, name: str, count: int, spacing: Tensor, size: Sequence[int], gamma: float) -> Tensor:
    """Stationary Gaussian fields whose power falls as `|k| ** -gamma`, with mean 0 and variance 1 each.

    White noise is filtered in Fourier space: with `gamma` 0 it stays white, a large one leaves a wave as long as the
    view. Opposite borders meet.

    Args:
        draws: the samples' streams.
        name: of the noise.
        count: fields a sample.
        spacing: `[B, S]` size of a cell along each axis, in units they share (ones: equal in cells).
        size: cells along each of the S axes.
        gamma: smoothness, at least 0.

    Returns:
        `[B, count, *size]` float32.
    """
    rank = len(size)
    white = normal_field(draws, name, count * math.prod(size)).view(-1, count, *size)
    square = torch.zeros((), device=spacing.device)
    for axis, n in enumerate(size):
        frequencies = torch.fft.rfftfreq if axis == rank - 1 else torch.fft.fftfreq
        cycles: Tensor = frequencies(n, device=spacing.device)
        along = (cycles / spacing[:, axis, None]).square()
        square = square + along.view(len(spacing), *(along.shape[1] if a == axis else 1 for a in range(rank)))
    least = torch.where(square > 0, square, torch.inf).flatten(1).amin(1)
    square = square / least.view(-1, *[1] * rank)  # powers of a ratio stay within float32
    filtering = torch.where(square > 0, square.clamp(min=1.0).pow(-gamma / 4), torch.zeros_like(square))
    dims = tuple(range(2, 2 + rank))
    field = torch.fft.irfftn(torch.fft.rfftn(white, dim=dims) * filtering[:, None], s=tuple(size), dim=dims)
    variance, mean = torch.var_mean(field, dim=dims, correction=0, keepdim=True)
    return (field - mean) * (variance + 1e-20).rsqrt()


def displace(
    x: Tensor, shift: Tensor, valid: Tensor | None = None, mode: Literal["bilinear", "nearest"] = "bilinear"
) -> Tensor:
    """`y(u) = x(u + shift(u))`; beyond the border the nearest cell is taken.

    Args:
        x: `[B, C, *size]`.
        shift: `[B, S, *size]` cells along each axis.
        valid: `[B, *size]` bool: invalid cells weigh nothing; a cell that would see only those keeps its value.
        mode: between cells; `nearest` for maps of labels.
    """
    size = tuple(x.shape[2:])
    grid = _places(size, shift)
    if valid is None:
        return _sample(x, grid, mode)
    zero = torch.zeros((), dtype=x.dtype, device=x.device)
    known = torch.where(valid[:, None], x, zero)
    sampled = _sample(torch.cat([known, valid[:, None].to(x.dtype)], 1), grid, mode)
    share = sampled[:, -1:]
    return torch.where(share > 1e-3, sampled[:, :-1] / share.clamp(min=1e-3), x)


def point_shift(unit: Tensor, draws: Draws, scale: float, gamma: float) -> tuple[Tensor, Tensor]:
    """The same shifts for point sets, from fields on a grid of cells over the view.

    Args:
        unit: `[B, N, S]` places in `[0, 1]` over the view; those outside take the border's shift.
        draws: the samples' stream for this operation.
        scale: `views.fields` times `views.strength`.
        gamma: smoothness.

    Returns:
        `[B, N, S]` shifts as fractions of the view's sides, and their standard deviation `[B, 1]`, 0 where not drawn.
    """
    rows, points, rank = unit.shape
    std = where_drawn(
        drawn(draws, FieldShift.probability), torch.full((rows, 1), _SIDE * scale, device=unit.device), 0.0
    )
    field = gaussian_fields(draws, "field", rank, torch.ones(rows, rank, device=unit.device), (_CELLS,) * rank, gamma)
    grid = (2 * unit - 1).flip(-1).view(rows, *(1,) * (rank - 1), points, rank)
    shift = F.grid_sample(field, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return shift.view(rows, rank, points).transpose(1, 2) * std[:, None], std


@dataclass(frozen=True)
class FieldShift(Operation):
    """Shifts each cell along the axes that may be scaled, smoothly from place to place.

    Attributes:
        gamma: smoothness.
        scale: `views.fields`.
        probability: that a sample is changed.
    """

    name: ClassVar[str] = "field-shift"
    gamma: float
    scale: float = 1.0
    probability: float = 0.5

    def apply(self, x: Tensor, context: Context, draws: Draws) -> Applied:
        """Parameters: `std [B, S]` in cells."""
        size, named = context.size, axes(context.layout, "scale")
        sides = constant(tuple(float(n) for n in size), x.device)
        moved = flags(tuple(a in named for a in range(len(size))), x.device)
        chosen = drawn(draws, self.probability)
        std = where_drawn(chosen, (sides * _SIDE * self.scale * context.strength * moved).expand(len(x), -1), 0.0)
        shift = gaussian_fields(draws, "field", len(size), _units(context), size, self.gamma)
        y = displace(x, shift * context.spread(std), context.valid)
        return torch.where(context.spread(chosen), y, x), {"std": std}


@dataclass(frozen=True)
class FieldGain(Operation):
    """Multiplies each channel about its mean by a factor that differs from place to place.

    Attributes:
        gamma, scale, probability: as of `FieldShift`.
    """

    name: ClassVar[str] = "field-gain"
    gamma: float
    scale: float = 1.0
    probability: float = 0.5

    def apply(self, x: Tensor, context: Context, draws: Draws) -> Applied:
        """Parameters: `std [B, 1]` of the factor."""
        std = _std(x, draws, self.probability, Gain.limit * self.scale * context.strength)
        field = gaussian_fields(draws, "field", x.shape[1], _units(context), context.size, self.gamma)
        factor = (1 + field * context.spread(std)).clamp(min=0.1)
        mean = context.spread(context.mean)
        return torch.where(context.spread(std > 0), (x - mean) * factor + mean, x), {"std": std}


@dataclass(frozen=True)
class FieldOffset(Operation):
    """Adds to each channel an offset that differs from place to place.

    Attributes:
        gamma, scale, probability: as of `FieldShift`.
    """

    name: ClassVar[str] = "field-offset"
    gamma: float
    scale: float = 1.0
    probability: float = 0.5

    def apply(self, x: Tensor, context: Context, draws: Draws) -> Applied:
        """Parameters: `std [B, 1]` in standard deviations of the channel."""
        std = _std(x, draws, self.probability, Offset.limit * self.scale * context.strength)
        field = gaussian_fields(draws, "field", x.shape[1], _units(context), context.size, self.gamma)
        return x + field * context.spread(std * context.std), {"std": std}


FIELDS = (FieldShift.name, FieldGain.name, FieldOffset.name)


def fields(layout: Layout, scale: float, gamma: float) -> tuple[Operation, ...]:
    """The field operations a layout of grids allows; none with a scale of 0.

    Args:
        layout: `scale` allows shifts along its axes, `gain` and `offset` allow theirs.
        scale: of all strengths.
        gamma: smoothness.
    """
    if layout.points or scale == 0:
        return ()
    known: tuple[tuple[Callable[[float, float], Operation], str], ...] = (
        (FieldShift, "scale"),
        (FieldGain, "gain"),
        (FieldOffset, "offset"),
    )
    return tuple(kind(gamma, scale) for kind, symmetry in known if allows(layout, symmetry))


def _std(x: Tensor, draws: Draws, probability: float, limit: float) -> Tensor:
    """`[B, 1]`: that of a number uniform in `+-limit` where drawn, else 0."""
    full = torch.full((len(x), 1), limit / 3**0.5, device=x.device)
    return where_drawn(drawn(draws, probability), full, 0.0)


def _units(context: Context) -> Tensor:
    """`[B, S]` cell sizes where all axes are lengths; ones where one is time or frequency."""
    mixed = {"T", "F"} & set(context.layout.spatial)
    return torch.ones_like(context.spacing) if mixed else context.spacing


def _places(size: tuple[int, ...], shift: Tensor) -> Tensor:
    """`[B, *size, S]` positions for `grid_sample`, which names the last axis first."""
    terms = []
    for axis in reversed(range(len(size))):
        n = size[axis]
        place = torch.arange(n, device=shift.device, dtype=shift.dtype) + 0.5
        place = place.view(*(n if a == axis else 1 for a in range(len(size))))
        terms.append((place + shift[:, axis]) * (2 / n) - 1)
    return torch.stack(terms, -1)


def _sample(x: Tensor, grid: Tensor, mode: str) -> Tensor:
    if x.ndim == 3:  # rank 1 goes through 2-D with a second axis of one cell
        grid = torch.cat([grid, torch.zeros_like(grid)], -1)[:, None]
        return F.grid_sample(x[:, :, None], grid, mode=mode, padding_mode="border", align_corners=False)[:, :, 0]
    return F.grid_sample(x, grid, mode=mode, padding_mode="border", align_corners=False)
