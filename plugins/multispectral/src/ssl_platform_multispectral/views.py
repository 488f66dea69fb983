"""The physics of looking down through air: light and haze that vary smoothly with wavelength, clouds, speckle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.views.interpolation import apply_axes, linear_weights
from ssl_platform.views.noise import normal_field
from ssl_platform.views.operation import Context, Operation, drawn, where_drawn

Applied = tuple[Tensor, dict[str, Tensor]]
_REFERENCE = 550.0  # nm
_THERMAL = 4000.0  # nm: beyond, a band shows heat and neither haze nor sunlight


def operations() -> tuple[Operation, ...]:
    """The view operations of satellite scenes."""
    return SpectralJitter(), Clouds(), Speckle()


def sunlit(context: Context) -> tuple[float | None, ...]:
    """Wavelength in nm of each channel that shows reflected sunlight, None for others (radar, heat)."""
    found = []
    for name in context.channels:
        wavelength = context.channel(name).wavelength
        found.append(wavelength if wavelength is not None and wavelength < _THERMAL else None)
    return tuple(found)


@lru_cache(maxsize=32)
def _table(rows: tuple[tuple[float, ...], ...], device: torch.device) -> Tensor:
    return torch.tensor(rows, device=device)


@dataclass(frozen=True)
class SpectralJitter(Operation):
    """Sunlight and air of another day: a gain that tilts smoothly over wavelength, and haze that scatters blue light.

    `x * exp(level + tilt * t) + haze * (550 nm / wavelength)^4 * s`, with t from -1 (443 nm) to 1 (2200 nm) over the
    logarithm of the wavelength and s the channel's standard deviation over the view: what is added is Rayleigh's law.
    Channels without reflected sunlight are left as they are.

    Attributes:
        probability: that a sample is changed.
        level: the gain common to all bands is `exp(+-level * strength)`.
        tilt: at both ends of the spectrum it differs by up to `exp(+-tilt * strength)`.
        haze: largest haze at 550 nm, in standard deviations.
    """

    name: ClassVar[str] = "spectral-jitter"
    probability: float = 0.8
    level: float = 0.2
    tilt: float = 0.15
    haze: float = 0.3

    def apply(self, x: Tensor, context: Context, draws: Draws) -> Applied:
        """Parameters: `curve [B, 3]`, level, tilt and haze."""
        wavelengths = sunlit(context)
        if not any(wavelengths):
            return x, {}
        table = _table(tuple(_response(w) for w in wavelengths), x.device)  # [C, 3]: level, tilt, haze
        limits = _table(((self.level, self.tilt, self.haze),), x.device) * context.strength
        curve = draws.uniform("curve", 3, low=-1.0, high=1.0) * limits
        curve = torch.cat([curve[:, :2], curve[:, 2:].abs()], 1)  # air only adds light
        curve = where_drawn(drawn(draws, self.probability), curve, 0.0)
        gain = torch.exp(curve[:, :2] @ table[:, :2].T)
        added = curve[:, 2:] * table[:, 2] * context.std
        return (x * context.spread(gain)).add_(context.spread(added)), {"curve": curve}


def _response(wavelength: float | None) -> tuple[float, float, float]:
    """How a channel answers to level, tilt and haze."""
    if wavelength is None:
        return 0.0, 0.0, 0.0
    place = math.log(wavelength / 443.0) / math.log(2200.0 / 443.0) * 2 - 1
    return 1.0, min(1.5, max(-1.5, place)), min(3.0, (_REFERENCE / wavelength) ** 4)


@dataclass(frozen=True)
class Clouds(Operation):
    """Clouds over part of the view: bright in visible and near infrared light, grey beyond; radar sees through them.

    A smooth random field above a threshold is cloud, denser towards its middle. Validity stays: clouds are what a
    scene shows, and a representation has to live with them.

    Attributes:
        probability: that a sample is clouded.
        cover: largest part of the view under cloud, at strength 1.
        grid: cells of the field's coarse grid along each axis: clouds are about `1 / grid` of the view wide.
        bright: reflectance of thick cloud up to 1000 nm; at 1600 nm two thirds, at 2200 nm half of it.
    """

    name: ClassVar[str] = "clouds"
    probability: float = 0.2
    cover: float = 0.3
    grid: int = 5
    bright: float = 0.7

    def apply(self, x: Tensor, context: Context, draws: Draws) -> Applied:
        """Parameters: `cover [B, 1]`, the part of the view under cloud that was aimed at; 0 where there is none."""
        wavelengths = sunlit(context)
        if not any(wavelengths) or len(context.size) != 2:
            return x, {}
        most = min(0.9, self.cover * context.strength)
        cover = draws.uniform("cover", 1, low=most / 6, high=most)
        cover = where_drawn(drawn(draws, self.probability), cover, 0.0)
        field = self._field(context.size, draws, x.device)
        # Of a normal field, the share above this threshold is `cover`.
        threshold = torch.special.ndtri((1 - cover).clamp(1e-4, 1 - 1e-4))[..., None]
        opacity = ((field - threshold) * 2.0).clamp(0.0, 1.0) * (cover > 0)[..., None]
        shine = _table((tuple(_cloud(w, self.bright) for w in wavelengths),), x.device)[0]
        seen = _table((tuple(0.0 if w is None else 1.0 for w in wavelengths),), x.device)[0]
        veil = opacity[:, None] * seen.view(1, -1, 1, 1)
        return torch.lerp(x, shine.view(1, -1, 1, 1).expand_as(x), veil), {"cover": cover}

    def _field(self, size: tuple[int, ...], draws: Draws, device: torch.device) -> Tensor:
        """`[B, H, W]` smooth, about standard normal."""
        n = self.grid
        coarse = normal_field(draws, "field", n * n).view(-1, n, n)
        weights = [_smooth(n, cells, device).expand(len(coarse), -1, -1) for cells in size]
        return apply_axes(coarse, weights)


def _cloud(wavelength: float | None, bright: float) -> float:
    if wavelength is None:
        return 0.0
    return bright * float(min(1.0, max(0.5, 1.0 - (wavelength - 1000.0) / 2400.0)))


@lru_cache(maxsize=16)
def _smooth(grid: int, size: int, device: torch.device) -> Tensor:
    """`[1, size, grid]` weights of linear interpolation, scaled so that the variance of white noise stays one."""
    centre, extent = torch.tensor([grid / 2]), torch.tensor([float(grid - 1)])
    weights = linear_weights(centre, extent, size, grid)
    return (weights / weights.square().sum(-1, keepdim=True).sqrt()).to(device)


@dataclass(frozen=True)
class Speckle(Operation):
    """Speckle of radar: in decibels, noise of about `10 / (ln 10 sqrt(looks))` dB for a number of looks.

    Attributes:
        probability: that a sample is changed.
        limit: largest standard deviation in dB at strength 1 (1 dB is about 19 looks).
    """

    name: ClassVar[str] = "speckle"
    probability: float = 0.5
    limit: float = 1.0

    def apply(self, x: Tensor, context: Context, draws: Draws) -> Applied:
        """Parameters: `std [B, 1]` in dB."""
        radar = tuple(1.0 if context.channel(name).unit == "dB" else 0.0 for name in context.channels)
        if not any(radar):
            return x, {}
        std = draws.uniform("std", 1, low=0.0, high=self.limit * context.strength)
        std = where_drawn(drawn(draws, self.probability), std, 0.0)
        field = normal_field(draws, "field", x[0].numel()).view_as(x)
        return field.mul_(context.spread(std * _table((radar,), x.device))).add_(x), {"std": std}
