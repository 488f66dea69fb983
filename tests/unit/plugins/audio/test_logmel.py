"""The log-mel spectrogram: batches, validity, silence."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ssl_platform.errors import Unreadable
from ssl_platform.testing.sync import forbid_sync
from ssl_platform.types import PartBatch
from ssl_platform_audio import logmel
from ssl_platform_audio.logmel import LOWEST, LogMel, log_mel, spectrogram
from ssl_platform_audio.options import AudioOptions
from ssl_platform_audio.spectrum import Spectrum
from ssl_platform_audio.views import operations

DEFAULT = Spectrum.of(AudioOptions(), 16_000)


def sound(samples, seed=0):
    """A chirp over noise, quiet at its end."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples) / samples
    wave = 0.4 * np.sin(2 * np.pi * samples * (0.01 * t + 0.1 * t**2)) + 0.02 * rng.standard_normal(samples)
    return (wave * np.where(t < 0.8, 1.0, 1e-3)).astype(np.float32)


@pytest.mark.parametrize(("mels", "rate"), [(128, 16_000), (128, 8_000), (256, 16_000), (40, 48_000)])
def test_every_mel_bin_hears_something(mels, rate):
    spectrum = Spectrum.of(AudioOptions(mels=mels), rate)
    assert (spectrum.filters(spectrum.fft_length).sum(0) > 0).all()
    assert spectrum.fft_length >= spectrum.frame


def test_a_batch_is_its_rows_whatever_is_transformed_at_once(monkeypatch):
    waves = torch.stack([torch.from_numpy(sound(DEFAULT.samples(50), seed)) for seed in range(3)])[:, None]
    whole = log_mel(waves, DEFAULT)
    assert whole.shape == (3, 1, 128, 50)
    for limit in (1 << 12, 1 << 16):
        monkeypatch.setitem(logmel._AT_ONCE, "cpu", limit)
        torch.testing.assert_close(log_mel(waves, DEFAULT), whole, atol=1e-4, rtol=0)
    for i in range(3):
        torch.testing.assert_close(log_mel(waves[i], DEFAULT), whole[i], atol=1e-4, rtol=0)


def test_silence_is_the_floor_and_loudness_is_a_constant():
    wave = torch.from_numpy(sound(DEFAULT.samples(30)))
    assert log_mel(torch.zeros(1, 4000), DEFAULT).eq(LOWEST).all()
    louder, plain = log_mel(2 * wave, DEFAULT), log_mel(wave, DEFAULT)
    heard = plain > LOWEST + 0.1
    torch.testing.assert_close((louder - plain)[heard], torch.full_like(plain[heard], 2 * np.log(2)), atol=1e-3, rtol=0)


def part_of(waves, valid=None):
    data = (torch.from_numpy(waves) * 32767).to(torch.int16)[:, None]
    return PartBatch(data, valid, None, torch.ones(len(waves), 2), torch.zeros(len(waves), 2), ("log-mel",))


def test_the_front_end_turns_int16_batches_into_spectrograms():
    waves = np.stack([sound(DEFAULT.samples(40), seed) for seed in range(2)])
    with forbid_sync():
        made = LogMel(DEFAULT).front_end(part_of(waves))
    assert made.valid is None and made.channels == ("log-mel",)
    expected = log_mel(torch.from_numpy(np.trunc(waves * 32767).astype(np.float32) / 32768), DEFAULT)
    torch.testing.assert_close(made.data[:, 0], expected, atol=1e-4, rtol=0)
    again = LogMel(DEFAULT).front_end(made)
    assert again is made  # what has the layout's axes already is left alone


def test_a_frame_is_valid_where_all_its_own_samples_are_and_padding_changes_nothing():
    samples = DEFAULT.samples(10)
    known = torch.ones(1, samples, dtype=torch.bool)
    known[:, DEFAULT.margin + 5 * DEFAULT.hop + 3 :] = False  # three samples into frame 5
    quiet, loud = sound(samples)[None].copy(), sound(samples)[None].copy()
    loud[0, ~known[0].numpy()] = 0.9
    first, second = (LogMel(DEFAULT).front_end(part_of(w, known)) for w in (quiet, loud))
    assert first.valid.shape == (1, 128, 10) and first.valid[0, 0].tolist() == [True] * 5 + [False] * 5
    assert first.data.equal(second.data)


def test_a_whole_recording_for_use_outside_the_platform():
    wave = sound(16_000)
    made = spectrogram(wave, 16_000)
    assert made.shape == (1, 128, 100) and made.dtype == np.float32
    # Frame 50 stands for samples 8000 to 8160: its window begins 120 samples before.
    window = torch.from_numpy(wave[8000 - 120 : 8000 - 120 + 400])
    np.testing.assert_allclose(made[0, :, 50], log_mel(window, DEFAULT)[:, 0].numpy(), atol=1e-4)
    assert spectrogram(wave[:50], 16_000).shape == (1, 128, 1)


def test_a_rate_below_the_lowest_frequency_is_refused():
    with pytest.raises(Unreadable, match=r"at 1000 Hz nothing lies above data\.fmin=600 Hz"):
        Spectrum.of(AudioOptions(fmin=600), 1000)


def test_without_its_level_a_window_is_the_same_however_loud_and_its_padding_counts_nothing():
    spectrum = replace(DEFAULT)
    waves = np.stack([sound(spectrum.samples(40)) * gain for gain in (1.0, 0.25)]) + 1e-3
    kept = LogMel(spectrum).front_end(part_of(waves)).data
    made = LogMel(spectrum, levelled=True).front_end(part_of(waves)).data
    torch.testing.assert_close(made.mean((-2, -1)), torch.zeros(2, 1), atol=1e-4, rtol=0)
    torch.testing.assert_close(made, kept - kept.mean((-2, -1), keepdim=True), atol=1e-4, rtol=0)
    valid = torch.ones(2, waves.shape[1], dtype=torch.bool)
    valid[:, waves.shape[1] // 2 :] = False
    half = LogMel(spectrum, levelled=True).front_end(part_of(waves, valid))
    frames = half.valid[:, 0]
    assert 0 < frames.sum() < frames.numel()
    torch.testing.assert_close(half.data[:, 0].mean(1)[frames].view(2, -1).mean(1), torch.zeros(2), atol=1e-4, rtol=0)
    whole = spectrogram(waves[0].astype(np.float32), 16_000, AudioOptions(level="window"))
    assert abs(float(whole.mean())) < 1e-4


def test_where_the_level_is_taken_away_views_do_not_change_it():
    assert "gain" in {op.name for op in operations(AudioOptions())}
    assert "gain" not in {op.name for op in operations(AudioOptions(level="window"))}
