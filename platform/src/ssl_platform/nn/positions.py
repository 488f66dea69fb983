"""Sine-cosine embeddings of continuous coordinates of any rank."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssl_platform.errors import ConfigError
from ssl_platform.nn.constant import row

STEPS = 16.0  # positions across a view for modules that know no grid (predictors, decoders, point sets)


PUBLISHED = 10_000.0  # Vaswani's temperature: frequencies for sequences of thousands
VIEWS = 8.0  # the longest wavelength of relative positions, in views


def sincos(position: Tensor, dim: int, temperature: float | Sequence[float] = PUBLISHED) -> Tensor:
    """Sines, then cosines, of each axis' position at geometrically spaced frequencies.

    Vaswani et al. (2017) in one dimension, He et al. (2022) in two: every axis gets an equal, even share of the `dim`
    features; what does not divide is left zero.

    Args:
        position: `[..., S]` in steps.
        dim: D, at least `2 S`.
        temperature: the longest wavelength is `2 pi temperature` steps; one for all axes, or one an axis.

    Returns:
        `[..., D]` of the same type, at least float32.

    Raises:
        ConfigError: fewer than two features an axis.
    """
    rank = position.shape[-1]
    half = dim // (2 * rank)
    if half < 1:
        raise ConfigError(f"an embedding of {dim} features is too narrow for positions of rank {rank}")
    position = position if position.dtype == torch.float64 else position.float()
    step = torch.arange(half, dtype=position.dtype, device=position.device)
    fall = row([-math.log(t) / half for t in _per_axis(temperature, rank, "temperature")], step.dtype, step.device)
    angle = position[..., None] * torch.exp(step * fall[:, None])  # [..., S, half]
    table = torch.cat([angle.sin(), angle.cos()], dim=-1).flatten(-2)
    return nn.functional.pad(table, (0, dim - table.shape[-1]))


def temperature_for(steps: Sequence[float] | float, rank: int) -> tuple[float, ...]:
    """Temperatures, one an axis, whose longest wavelength is eight views of `steps` steps.

    At the published temperature four fifths of the features are constant over a grid of six tokens an axis; here all
    of them tell neighbours apart, which is what a decoder has to learn first.
    """
    return tuple(max(2.0, VIEWS * n / (2 * math.pi)) for n in _per_axis(steps, rank, "steps"))


def places(coords: Tensor, dim: int, steps: Sequence[float] | float) -> Tensor:
    """Embedding `[..., D]` of coordinates `[..., S]` in `[0, 1]` over a view that spans `steps` steps."""
    rank = coords.shape[-1]
    spread = row(_per_axis(steps, rank, "steps"), coords.dtype, coords.device)
    return sincos(coords * spread - 0.5, dim, temperature_for(steps, rank))


class SinCos(nn.Module):
    """Positions from token coordinates, so other grids, crops and point sets need no interpolation of tables.

    Relative mode (`pitch=None`): a view always spans `reference` steps, as a learned table would that is interpolated
    to other sizes; at the reference grid and `temperature=10_000` this is MAE's integer table. Physical mode: a step is
    `pitch` units long, so a smaller crop spans fewer steps (Scale-MAE: Reed et al., 2023).

    Args:
        rank: S.
        dim: D.
        reference: steps across a view along each axis, usually the token grid the net was built for.
        pitch: physical length of a step along each axis, in `Layout.unit`; None for relative positions.
        temperature: of `sincos`; None: the longest wavelength is eight views in relative mode, else the published one.
    """

    def __init__(
        self,
        rank: int,
        dim: int,
        reference: Sequence[float] | float = STEPS,
        pitch: Sequence[float] | float | None = None,
        temperature: float | None = None,
    ) -> None:
        super().__init__()
        self.rank, self.dim = rank, dim
        self.reference = _per_axis(reference, rank, "reference")
        self.pitch = None if pitch is None else _per_axis(pitch, rank, "pitch")
        if temperature is not None:
            self.temperature = _per_axis(temperature, rank, "temperature")
        else:
            fitted = temperature_for(self.reference, rank)
            self.temperature = fitted if self.pitch is None else (PUBLISHED,) * rank
        sincos(torch.zeros(1, rank), dim)  # a too narrow net fails here, not in the first step

    def forward(self, coords: Tensor, extent: Tensor | None = None) -> Tensor:
        """Embed coordinates.

        Args:
            coords: `[B, ..., S]` in `[0, 1]` over the view.
            extent: `[B, S]` physical size of the view, used in physical mode.

        Returns:
            `[B or 1, ..., D]`; a single row where all samples share their coordinates.
        """
        if self.pitch is None:
            if coords.stride(0) == 0:  # expanded from one row: compute that row only
                coords = coords[:1]
            steps = row(self.reference, coords.dtype, coords.device)
            return sincos(coords * steps - 0.5, self.dim, self.temperature)
        if extent is None:
            raise ValueError("physical positions need the extent of the view")
        steps = extent / row(self.pitch, extent.dtype, extent.device)
        spread = steps.view(steps.shape[0], *[1] * (coords.ndim - 2), self.rank)
        return sincos(coords * spread.to(coords.dtype) - 0.5, self.dim, self.temperature)


def _per_axis(value: Sequence[float] | float, rank: int, name: str) -> tuple[float, ...]:
    values = (float(value),) * rank if isinstance(value, int | float) else tuple(float(v) for v in value)
    if len(values) != rank or not all(v > 0 for v in values):
        raise ConfigError(f"{name} must be {rank} positive numbers, one an axis, got {values}")
    return values
