"""The grid of a log-mel spectrogram: frames, bins and mel filters. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_audio.options import AudioOptions

USUAL_RATE = 16_000
"""Hz; `data.sample_rate=auto` goes no higher, as in the spectrogram transformers' papers."""
_SLANEY_BREAK, _SLANEY_STEP = 1000.0, 200.0 / 3.0  # linear below 1 kHz, logarithmic above (Slaney, 1998)
_SLANEY_LOG = np.log(6.4) / 27.0


@dataclass(frozen=True)
class Spectrum:
    """How a waveform becomes a log-mel spectrogram.

    Frame t stands for samples `[t * hop, (t + 1) * hop)`; its analysis window is centred there and reaches beyond by
    `margin` samples on the left, and as many as remain on the right.

    Attributes:
        rate: sample rate in Hz.
        frame: samples of the analysis window.
        hop: samples from frame to frame.
        mels: bins F.
        fmin, fmax: range of the bins in Hz.
        scale: `htk` or `slaney`.
    """

    rate: int
    frame: int
    hop: int
    mels: int
    fmin: float
    fmax: float
    scale: str

    @classmethod
    def of(cls, options: AudioOptions, rate: int) -> Spectrum:
        """The spectrum under `data.*` at a sample rate in Hz.

        Raises:
            Unreadable: nothing lies between `data.fmin` and half the rate.
        """
        fmax = rate / 2 if options.fmax == "auto" else min(options.fmax, rate / 2)
        if options.fmin >= fmax:
            raise Unreadable(f"at {rate} Hz nothing lies above data.fmin={options.fmin:g} Hz: lower it")
        hop = max(1, round(options.hop_ms * rate / 1000))
        frame = max(hop, round(options.frame_ms * rate / 1000))
        return cls(rate, frame, hop, options.mels, options.fmin, fmax, options.mel_scale)

    @property
    def margin(self) -> int:
        """Samples of the analysis window before the frame's own."""
        return (self.frame - self.hop) // 2

    @property
    def spacing(self) -> tuple[float, float]:
        """Size of a cell: one bin, and the hop in seconds."""
        return 1.0, self.hop / self.rate

    @cached_property
    def fft_length(self) -> int:
        """Length of the Fourier transform: the least power of two at which every mel filter sees a bin."""
        size = 1 << (self.frame - 1).bit_length()
        while size < 1 << 16 and (self.filters(size).sum(0) == 0).any():
            size *= 2
        return size

    def frames(self, samples: int) -> int:
        """Whole frames of an item, at least one."""
        return max(1, samples // self.hop)

    def samples(self, frames: int) -> int:
        """Samples that so many consecutive frames look at."""
        return (frames - 1) * self.hop + self.frame

    @property
    def edges(self) -> np.ndarray:
        """`[F + 2]` frequencies in Hz: filter k rises from edge k to edge k + 1 and falls to edge k + 2."""
        low, high = to_mel(np.array([self.fmin, self.fmax]), self.scale).tolist()
        return from_mel(np.linspace(low, high, self.mels + 2), self.scale)

    def filters(self, fft: int) -> np.ndarray:
        """`[fft // 2 + 1, F]` float64 triangular filters of height one, on the power spectrum."""
        low, high = to_mel(np.array([self.fmin, self.fmax]), self.scale).tolist()
        edges = from_mel(np.linspace(low, high, self.mels + 2), self.scale)
        frequency = np.arange(fft // 2 + 1) * self.rate / fft
        rising = (frequency[:, None] - edges[:-2]) / np.diff(edges)[:-1]
        falling = (edges[2:] - frequency[:, None]) / np.diff(edges)[1:]
        return np.asarray(np.minimum(rising, falling).clip(min=0.0))


def to_mel(hertz: np.ndarray, scale: str) -> np.ndarray:
    """Mel of frequencies in Hz: `htk` is 2595 log10(1 + f / 700), `slaney` linear up to 1 kHz and logarithmic above."""
    if scale == "htk":
        return np.asarray(2595.0 * np.log10(1.0 + hertz / 700.0))
    above = _SLANEY_BREAK / _SLANEY_STEP + np.log(np.maximum(hertz, 1e-9) / _SLANEY_BREAK) / _SLANEY_LOG
    return np.where(hertz < _SLANEY_BREAK, hertz / _SLANEY_STEP, above)


def from_mel(mel: np.ndarray, scale: str) -> np.ndarray:
    """The inverse of `to_mel`."""
    if scale == "htk":
        return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))
    knee = _SLANEY_BREAK / _SLANEY_STEP
    return np.where(mel < knee, mel * _SLANEY_STEP, _SLANEY_BREAK * np.exp(_SLANEY_LOG * (mel - knee)))
