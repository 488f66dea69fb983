"""Waveforms to log-mel spectrograms, in batch and on the device they lie on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.types import PartBatch
from ssl_platform.views.operation import Context, Operation
from ssl_platform_audio.options import AudioOptions
from ssl_platform_audio.spectrum import Spectrum

FLOOR = 2.0**-23
"""Least power, about what rounding to 16 bits leaves in a mel bin: what lies below is no sound."""
LOWEST = float(np.log(FLOOR))
"""The log-mel value of silence."""
_SCALE = 1.0 / 32_768.0
_AT_ONCE = {"cpu": 1 << 17}  # numbers of framed waveform transformed at once: on a CPU what its cache holds
_AT_ONCE_ELSEWHERE = 1 << 27
_BAND = 16  # mel filters multiplied together


@dataclass(frozen=True)
class LogMel(Operation):
    """Turns the waveforms that were read into spectrograms, before views are cut.

    A frame is valid where all of its own samples are. Values are natural logarithms of power, at least `LOWEST`.

    Attributes:
        spectrum: frames, bins and filters.
        levelled: whether each window is moved to a mean of zero (`data.level=window`).
    """

    name: ClassVar[str] = "log-mel"
    spectrum: Spectrum
    levelled: bool = False

    def front_end(self, part: PartBatch) -> PartBatch:
        """`[B, 1, samples]` int16 to `[B, 1, F, T]` float32; validity likewise."""
        if part.data.ndim != 3:
            return part
        samples = part.data.to(torch.float32) * _SCALE
        valid = part.valid
        if valid is None:
            return replace(part, data=self._level(log_mel(samples, self.spectrum), None))
        samples = samples * valid[:, None]
        start, hop, mels = self.spectrum.margin, self.spectrum.hop, self.spectrum.mels
        values = log_mel(samples, self.spectrum)
        own = valid[:, start : start + values.shape[-1] * hop].unflatten(1, (-1, hop)).all(-1)
        return replace(part, data=self._level(values, own), valid=own[:, None].expand(-1, mels, -1))

    def _level(self, values: Tensor, valid: Tensor | None) -> Tensor:
        return level(values, valid) if self.levelled else values

    def apply(self, x: Tensor, context: Context, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        """Nothing is left to do."""
        return x, {}


def level(values: Tensor, valid: Tensor | None) -> Tensor:
    """Spectrograms without their level: the mean over the cells of valid frames is taken away.

    Args:
        values: `[..., F, T]` natural logarithms of power.
        valid: `[..., T]` bool; None for all.
    """
    frames = values.mean(-2)
    known = torch.ones_like(frames, dtype=torch.bool) if valid is None else valid.view(frames.shape)
    mean = (frames * known).sum(-1) / known.sum(-1).clamp_min(1)
    return values - mean[..., None, None]


def log_mel(waveform: Tensor, spectrum: Spectrum) -> Tensor:
    """Log-mel spectrogram: Hann window, power spectrum, triangular mel filters of height one, natural logarithm.

    Args:
        waveform: `[..., samples]` float in units of full scale; the first frame's analysis window begins at sample 0.
        spectrum: of the waveform's sample rate.

    Returns:
        `[..., F, T]` float32, `T = 1 + (samples - frame) // hop`.
    """
    rows = waveform.reshape(-1, waveform.shape[-1]).unfold(-1, spectrum.frame, spectrum.hop)  # [R, T, frame]
    window, bands = _constants(spectrum, waveform.device)
    count = rows.shape[1]
    limit = _AT_ONCE.get(waveform.device.type, _AT_ONCE_ELSEWHERE)
    step = max(1, limit // spectrum.fft_length)
    out = torch.empty(len(rows) * count, spectrum.mels, device=waveform.device)
    whole = max(1, step // count)  # rows at once; where a row alone is too much, parts of it
    for first in range(0, len(rows), whole):
        for start in range(0, count, step):
            framed = (rows[first : first + whole, start : start + step] * window).flatten(0, -2)
            squares = torch.view_as_real(torch.fft.rfft(framed, n=spectrum.fft_length)).square().flatten(1)
            mel = out[first * count + start :][: len(framed)]
            for band in bands:
                torch.mm(squares[:, band.bins], band.filters, out=mel[:, band.mels])
    out.clamp_(min=FLOOR).log_()
    return out.view(*waveform.shape[:-1], count, spectrum.mels).transpose(-1, -2)


def spectrogram(waveform: np.ndarray, rate: int, options: AudioOptions | None = None) -> np.ndarray:
    """The spectrogram of a whole recording as encoders trained here take it, for use outside the platform.

    Args:
        waveform: `[samples]` float in units of full scale, at the sample rate of the encoder.
        rate: that sample rate in Hz.
        options: the `data.*` options of the encoder (`encoder.json`, under `input.options`).

    Returns:
        `[1, F, T]` float32: what `Encoder.preprocess(array, spacing=(1, hop))` takes.
    """
    options = options if options is not None else AudioOptions()
    spectrum = Spectrum.of(options, rate)
    frames = spectrum.frames(len(waveform))
    padded = np.zeros(spectrum.samples(frames), dtype=np.float32)
    inside = waveform[: len(padded) - spectrum.margin]
    padded[spectrum.margin : spectrum.margin + len(inside)] = inside
    found = log_mel(torch.from_numpy(padded)[None], spectrum)
    return (level(found, None) if options.level == "window" else found).numpy()


@dataclass(frozen=True)
class _Band:
    """Neighbouring mel filters and what they see of the spectrum; the rest of their rows would be zeros.

    Attributes:
        bins: real and imaginary parts of the Fourier bins, interleaved.
        mels: the filters.
        filters: `[bins, mels]`, each row twice: real and imaginary part count alike.
    """

    bins: slice
    mels: slice
    filters: Tensor


@lru_cache(maxsize=16)
def _constants(spectrum: Spectrum, device: torch.device) -> tuple[Tensor, tuple[_Band, ...]]:
    """The window `[frame]`, and the filters in bands."""
    filters = spectrum.filters(spectrum.fft_length)
    bands = []
    for first in range(0, spectrum.mels, _BAND):
        mels = slice(first, min(first + _BAND, spectrum.mels))
        seen = np.flatnonzero(filters[:, mels].any(1))
        low, high = int(seen[0]), int(seen[-1]) + 1
        weights = torch.from_numpy(filters[low:high, mels]).float().repeat_interleave(2, 0)
        bands.append(_Band(slice(2 * low, 2 * high), mels, weights.to(device)))
    window = torch.hann_window(spectrum.frame, periodic=True, dtype=torch.float64).float()
    return window.to(device), tuple(bands)
