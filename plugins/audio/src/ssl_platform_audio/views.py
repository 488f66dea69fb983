"""The physics of recordings as view operations on log-mel spectrograms: level, microphone, other sound, gaps.

Values are natural logarithms of power, so a gain is a constant added, and sounds that meet add up as powers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.views.noise import normal_field
from ssl_platform.views.operation import Context, Operation, drawn, where_drawn
from ssl_platform_audio.logmel import LOWEST, LogMel
from ssl_platform_audio.options import AudioOptions
from ssl_platform_audio.spectrum import USUAL_RATE, Spectrum

DECIBEL = math.log(10.0) / 10.0
"""One decibel in natural logarithms of power."""

Applied = tuple[Tensor, dict[str, Tensor]]


def operations(options: AudioOptions | None = None) -> tuple[Operation, ...]:
    """The view operations of recordings under `data.*`, in the order in which sound meets them."""
    options = options if options is not None else AudioOptions()
    rate = USUAL_RATE if options.sample_rate == "auto" else options.sample_rate
    spectrum = Spectrum.of(options, rate)
    if options.level == "window":
        return LogMel(spectrum, levelled=True), Mix(), Background(), Equaliser(), SpecAugment()
    return LogMel(spectrum), Mix(), Background(), Equaliser(), Gain(), SpecAugment()


@dataclass(frozen=True)
class Gain(Operation):
    """Another recording level: a constant in the logarithm. Silence stays silence.

    Attributes:
        probability: that a sample is changed.
        decibel: the gain is uniform in `+-decibel * strength`.
    """

    name: ClassVar[str] = "gain"
    probability: float = 0.8
    decibel: float = 6.0

    def apply(self, x: Tensor, context: Context, draws: Draws) -> Applied:
        """Parameters: `decibel [B, 1]`."""
        limit = self.decibel * context.strength
        gain = where_drawn(drawn(draws, self.probability), draws.uniform("gain", 1, low=-limit, high=limit), 0.0)
        return (x + context.spread(gain * DECIBEL)).clamp_(min=LOWEST), {"decibel": gain}


@dataclass(frozen=True)
class Equaliser(Operation):
    """Another microphone and room: a response that is smooth over the bins, without change of mean level.

    Attributes:
        probability: that a sample is changed.
        decibel: size of its two slowest cosines at full strength.
    """

    name: ClassVar[str] = "equaliser"
    probability: float = 0.5
    decibel: float = 4.0

    def apply(self, x: Tensor, context: Context, draws: Draws) -> Applied:
        """Parameters: `decibel [B, 2]` of the cosines of half a period and a whole one."""
        limit = self.decibel * context.strength
        size = draws.uniform("size", 2, low=-limit, high=limit)
        size = where_drawn(drawn(draws, self.probability), size, 0.0)
        bins = context.size[0]
        place = (torch.arange(bins, device=x.device) + 0.5) * (math.pi / bins)
        response = size[:, :1] * place.cos() + size[:, 1:] * (2 * place).cos()  # [B, F]
        return (x + (response * DECIBEL)[:, None, :, None]).clamp_(min=LOWEST), {"decibel": size}


@dataclass(frozen=True)
class Mix(Operation):
    """Another sound at the same time: powers are added (log-mixup-exp, Niizumi et al., BYOL for Audio, 2021).

    The other sound is the view itself, moved in time and quieter: a view may depend on nothing but its own sample.

    Attributes:
        probability: that a sample is changed.
        share: largest share of the other sound's power at full strength.
    """

    name: ClassVar[str] = "mix"
    probability: float = 0.5
    share: float = 0.3

    def apply(self, x: Tensor, context: Context, draws: Draws) -> Applied:
        """Parameters: `share [B, 1]` of the other sound, and `shift [B, 1]` as a fraction of the view."""
        share = draws.uniform("share", 1, low=0.02, high=max(0.021, min(0.5, self.share * context.strength)))
        share = where_drawn(drawn(draws, self.probability), share, 0.0)
        shift = draws.uniform("shift", 1, low=0.2, high=0.8)
        frames = context.size[-1]
        at = (torch.arange(frames, device=x.device) + (shift * frames).long()) % frames  # [B, T]
        index = at[:, None, None, :].expand_as(x)
        other = x.gather(-1, index)
        if context.valid is not None:  # silence where the other sound is not known
            known = context.valid[:, None].gather(-1, at[:, None, None, :].expand_as(context.valid[:, None]))
            other = torch.where(known, other, torch.full((), LOWEST, device=x.device))
        kept, added = torch.log1p(-share), torch.log(share)
        mixed = torch.logaddexp(x + context.spread(kept), other + context.spread(added))
        return mixed.clamp_(min=LOWEST), {"share": share, "shift": shift}


@dataclass(frozen=True)
class Background(Operation):
    """Noise of any colour behind the sound: powers are added, at a ratio to the view's loudest bins.

    Attributes:
        probability: that a sample is changed.
        low, high: level in dB below the view's mean power; the range moves up with strength.
        tilt: largest slope of the noise's spectrum in dB over all bins, either way.
    """

    name: ClassVar[str] = "noise"
    probability: float = 0.5
    low: float = 10.0
    high: float = 30.0
    tilt: float = 20.0
    spread: ClassVar[float] = 0.7  # of the logarithm of a mel bin's power in noise, a few Fourier bins wide

    def apply(self, x: Tensor, context: Context, draws: Draws) -> Applied:
        """Parameters: `decibel [B, 1]` below the view's mean power (infinite: no noise), `tilt [B, 1]` in dB."""
        ratio = draws.uniform("ratio", 1, low=self.low, high=self.high) - 20.0 * math.log10(max(context.strength, 1e-3))
        ratio = where_drawn(drawn(draws, self.probability), ratio, torch.inf)
        tilt = draws.uniform("tilt", 1, low=-self.tilt, high=self.tilt)
        bins, frames = context.size
        slope = (torch.arange(bins, device=x.device) + 0.5) / bins - 0.5
        level = _mean_power(x, context.valid) - ratio * DECIBEL  # [B, 1]
        shape = (level + tilt * DECIBEL * slope)[:, None, :, None]
        field = normal_field(draws, "field", bins * frames).view(len(x), 1, bins, frames)
        noise = shape + self.spread * field - self.spread**2 / 2  # of unit mean power
        return torch.logaddexp(x, noise), {"decibel": ratio, "tilt": tilt}


@dataclass(frozen=True)
class SpecAugment(Operation):
    """Blanks bands of bins and stretches of time with the view's mean (Park et al., 2019; no time warping).

    Validity stays: what is blanked is part of the view.

    Attributes:
        probability: that a sample is changed.
        bins: largest band as a fraction of the bins (48 of 128 in AudioMAE).
        time: longest stretch as a fraction of the view (192 of 1024 frames in AudioMAE).
        count: bands, and as many stretches.
    """

    name: ClassVar[str] = "specaugment"
    probability: float = 0.5
    bins: float = 0.375
    time: float = 0.1875
    count: int = 1

    def apply(self, x: Tensor, context: Context, draws: Draws) -> Applied:
        """Parameters: `bands [B, 2 * count]` and `stretches [B, 2 * count]`, first and last edge; equal if none."""
        chosen = drawn(draws, self.probability)
        blank: Tensor | None = None
        params = {}
        for axis, (name, most) in enumerate((("bands", self.bins), ("stretches", self.time))):
            width = draws.uniform(f"{name}/width", self.count, high=min(0.9, most * context.strength))
            width = where_drawn(chosen, width, 0.0)
            start = draws.uniform(f"{name}/start", self.count) * (1 - width)
            size = context.size[axis]
            place = (torch.arange(size, device=x.device) + 0.5) / size
            inside = ((place >= start[..., None]) & (place < (start + width)[..., None])).any(1)  # [B, size]
            inside = inside[:, None, :, None] if axis == 0 else inside[:, None, None, :]
            blank = inside if blank is None else blank | inside
            params[name] = torch.cat([start, start + width], 1)
        assert blank is not None
        return torch.where(blank, context.spread(context.mean), x), params


def _mean_power(x: Tensor, valid: Tensor | None) -> Tensor:
    """`[B, 1]` logarithm of the mean power of the valid cells."""
    flat = x.flatten(1)
    if valid is None:
        return torch.logsumexp(flat, 1, keepdim=True) - math.log(flat.shape[1])
    known = valid.flatten(1)
    flat = torch.where(known, flat, torch.full((), LOWEST, device=x.device))
    count = known.sum(1, keepdim=True).clamp(min=1)
    return torch.logsumexp(flat, 1, keepdim=True) - count.log()
