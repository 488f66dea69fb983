"""The log-mel spectrogram against librosa's."""

import librosa
import numpy as np
import pytest
import torch

from ssl_platform_audio.logmel import FLOOR, log_mel
from ssl_platform_audio.options import AudioOptions
from ssl_platform_audio.spectrum import Spectrum, from_mel, to_mel


def sound(samples, seed=0):
    """A chirp over noise, quiet at its end."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples) / samples
    wave = 0.4 * np.sin(2 * np.pi * samples * (0.01 * t + 0.1 * t**2)) + 0.02 * rng.standard_normal(samples)
    return (wave * np.where(t < 0.8, 1.0, 1e-3)).astype(np.float32)


def librosa_log_mel(wave, spectrum):
    """The same by librosa, which puts a short window into the middle of the transform: hence the leading zeros."""
    fft = spectrum.fft_length
    power = librosa.feature.melspectrogram(
        y=np.pad(wave, ((fft - spectrum.frame) // 2, fft)),
        sr=spectrum.rate,
        n_fft=fft,
        hop_length=spectrum.hop,
        win_length=spectrum.frame,
        window="hann",
        center=False,
        power=2.0,
        n_mels=spectrum.mels,
        fmin=spectrum.fmin,
        fmax=spectrum.fmax,
        htk=spectrum.scale == "htk",
        norm=None,
    )
    return np.log(np.maximum(power[:, : 1 + (len(wave) - spectrum.frame) // spectrum.hop], FLOOR))


@pytest.mark.parametrize(
    ("rate", "settings"),
    [
        (16_000, {}),
        (8_000, {}),
        (22_050, {"mel_scale": "slaney", "mels": 80}),
        (44_100, {"mels": 64, "frame_ms": 40, "hop_ms": 20, "fmin": 50, "fmax": 14_000}),
        (32_000, {"mels": 229, "mel_scale": "slaney", "fmin": 0}),
        (11_025, {"frame_ms": 33.3, "hop_ms": 7.1}),
    ],
)
def test_golden_values_of_librosa(rate, settings):
    spectrum = Spectrum.of(AudioOptions(**settings), rate)
    wave = sound(spectrum.samples(60))
    ours = log_mel(torch.from_numpy(wave), spectrum).numpy()
    assert ours.shape == (spectrum.mels, 60)
    np.testing.assert_allclose(ours, librosa_log_mel(wave, spectrum), atol=2e-3)
    np.testing.assert_allclose(np.exp(ours), np.exp(librosa_log_mel(wave, spectrum)), rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_mel_scales_agree_with_librosa_and_come_back(scale):
    hertz = np.array([20.0, 440.0, 999.0, 1000.0, 1001.0, 7999.0])
    np.testing.assert_allclose(to_mel(hertz, scale), librosa.hz_to_mel(hertz, htk=scale == "htk"), rtol=1e-12)
    np.testing.assert_allclose(from_mel(to_mel(hertz, scale), scale), hertz, rtol=1e-12)
