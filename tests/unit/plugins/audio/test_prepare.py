"""What the cache keeps of a recording: resampled, level, validity, and what is said about it."""

import numpy as np
import pytest
import soundfile
import soxr

from ssl_platform.errors import Unreadable
from ssl_platform_audio.items import rows_of
from ssl_platform_audio.levels import FULL_SCALE, Level, cancels, frame_levels, mean_level, odd, sounding, unlike_set
from ssl_platform_audio.options import AudioOptions
from ssl_platform_audio.prepare import prepare

RATE = 44_100
RNG = np.random.default_rng(0)
SOUND = (0.3 * np.sin(2 * np.pi * 700 * np.arange(RATE) / RATE) + 0.01 * RNG.standard_normal(RATE)).astype(np.float32)
SOUND -= SOUND.mean()


def prepared(path, samples, rate=RATE, subtype="FLOAT", **options):
    soundfile.write(path, samples, rate, subtype=subtype)
    options = AudioOptions(**{"sample_rate": 16_000, **options})
    (row,) = rows_of(path, options)
    made = prepare(row, options)
    assert made.grid == row.shape
    return made


def test_resampled_as_by_soxr(tmp_path):
    made = prepared(tmp_path / "a.wav", SOUND)
    assert made.data.shape == (1, 16_000) and made.data.dtype == np.int16 and made.valid is None
    expected = soxr.resample(SOUND, RATE, 16_000, quality="HQ") * FULL_SCALE
    assert np.abs(made.data[0] - expected).max() <= 1.5
    assert made.spacing == (1 / 16_000,) and made.grid == (128, 100)


def test_a_rate_that_fits_is_left_alone(tmp_path):
    made = prepared(tmp_path / "a.wav", SOUND, subtype="PCM_16", sample_rate=RATE)
    stored, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert np.abs(made.data[0].astype(int) - stored).max() <= 1


def test_lower_rates_are_raised_and_high_tones_do_not_fold(tmp_path):
    low = prepared(tmp_path / "a.wav", SOUND[:8000], 8_000)
    assert low.data.shape == (1, 16_000)
    high = 0.5 * np.sin(2 * np.pi * 12_000 * np.arange(RATE) / RATE) + 1e-3 * SOUND
    made = prepared(tmp_path / "b.wav", high.astype(np.float32))
    assert np.abs(made.data[0, 500:-500]).max() < 20  # 12 kHz lies above what 16 kHz can hold


def test_in_pieces_as_in_one(tmp_path, monkeypatch):
    whole = prepared(tmp_path / "a.wav", SOUND)
    monkeypatch.setattr("ssl_platform_audio.readers._BLOCK", 3000)
    monkeypatch.setattr("ssl_platform_audio.prepare._IN_MEMORY", 1000)
    assert np.abs(prepared(tmp_path / "b.wav", SOUND).data.astype(int) - whole.data).max() <= 1


def test_the_mean_is_taken_off_and_said(tmp_path):
    made = prepared(tmp_path / "a.wav", SOUND + np.float32(0.25))
    assert abs(made.data.mean()) < 3 and made.facts["offset"] == pytest.approx(0.25, abs=1e-3)
    assert "offset of 25 %" in odd(made.facts)


def test_peaks_above_full_scale_are_scaled_down_and_said(tmp_path):
    made = prepared(tmp_path / "a.wav", SOUND * 20_000, sample_rate=RATE)
    assert 32_700 < np.abs(made.data.astype(int)).max() <= 32_768
    assert "times full scale" in odd(made.facts)
    assert odd(prepared(tmp_path / "b.wav", SOUND).facts) is None


def test_samples_that_are_not_finite_are_invalid(tmp_path):
    samples = SOUND.copy()
    samples[22_050:26_460] = np.nan
    made = prepared(tmp_path / "a.wav", samples)
    assert made.valid is not None and made.valid.shape == (16_000,)
    lost = np.flatnonzero(~made.valid)
    assert abs(lost[0] - 8000) <= 1 and abs(lost[-1] - 9600) <= 1
    kept = prepared(tmp_path / "b.wav", SOUND)
    assert np.abs(made.data[0, :7900].astype(int) - kept.data[0, :7900]).max() < 200


def test_silence_is_refused(tmp_path):
    with pytest.raises(Unreadable, match="silent: every sample is 0"):
        prepared(tmp_path / "a.wav", np.zeros(RATE, np.float32))
    with pytest.raises(Unreadable, match=r"constant: every sample is 0\.25"):
        prepared(tmp_path / "b.wav", np.full(RATE, 0.25, np.float32))
    with pytest.raises(Unreadable, match=r"silent: its peak is -1\d\d dB"):
        prepared(tmp_path / "d.wav", SOUND * np.float32(1e-6))
    with pytest.raises(Unreadable, match="NaN"):
        prepared(tmp_path / "c.wav", np.full(RATE, np.nan, np.float32))


def test_channels_in_opposite_phase(tmp_path):
    with pytest.raises(Unreadable, match=r"cancel each other.*data\.mixdown=first"):
        prepared(tmp_path / "a.wav", np.stack([SOUND, -SOUND], 1))
    nearly = prepared(tmp_path / "b.wav", np.stack([SOUND, -0.95 * SOUND], 1))
    assert "data.mixdown=first" in odd(nearly.facts)
    assert odd(prepared(tmp_path / "c.wav", np.stack([SOUND, -SOUND], 1), mixdown="first").facts) is None
    assert cancels(np.stack([SOUND, -SOUND], 1)) and not cancels(np.stack([SOUND, 0 * SOUND], 1))


def test_foreground_is_where_the_sound_is(tmp_path):
    samples = np.zeros(4 * RATE, np.float32)
    samples[RATE : 2 * RATE] = SOUND
    made = prepared(tmp_path / "a.wav", samples)
    cells = made.foreground
    assert (cells[:, 0] == 0).all() and cells[:, 1].min() >= 98 and cells[:, 1].max() <= 201
    assert made.facts["sound"] == pytest.approx(0.25, abs=0.02)


def test_levels():
    values = np.concatenate([np.full(1600, 3277), np.full(1600, 33), np.full(1600, 1)]).astype(np.int16)
    levels = frame_levels(values, 160)
    assert levels.shape == (30,) and levels[0] == pytest.approx(-20, abs=0.1)
    assert sounding(levels).tolist() == [True] * 20 + [False] * 10
    assert mean_level(levels) == pytest.approx(-20 - 10 * np.log10(3), abs=0.1)
    level = Level.of([np.array([0.5, np.nan]), np.array([-0.3])])
    assert (level.mean, level.peak, level.count) == (pytest.approx(0.1), pytest.approx(0.4), 2)


def test_items_unlike_their_set():
    facts = {f"{i}": {"level_db": -25.0 - i} for i in range(5)} | {"far": {"level_db": -80.0}}
    assert list(unlike_set(facts)) == ["far"] and "quieter" in unlike_set(facts)["far"]
    assert unlike_set({"a": {"level_db": 0.0}, "b": {"level_db": -90.0}}) == {}
