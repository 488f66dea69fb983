"""Rows from headers: grids, groups, columns, options, and what a whole set decides."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from pydantic import ValidationError

from ssl_platform.errors import Unreadable
from ssl_platform_audio.items import fit, native_rate, resampled, rows_of
from ssl_platform_audio.names import group_of
from ssl_platform_audio.options import AudioOptions
from ssl_platform_audio.settle import settle

AUTO = AudioOptions()


def row_of(path, seconds=1.0, rate=16_000, options=AUTO):
    soundfile.write(path, np.sin(np.arange(round(seconds * rate)) / 9), rate)
    return next(iter(rows_of(path, options)))


def test_the_grid_follows_from_the_header(tmp_path):
    row = row_of(tmp_path / "a.wav", 2.0)
    assert row.shape == (128, 200) and row.spacing == (1.0, 0.01) and row.channels == ("log-mel",)
    assert row_of(tmp_path / "b.wav", 2.0, 44_100).shape == (128, 200)
    assert fit(row, AudioOptions(mels=64, hop_ms=20)).shape == (64, 100)
    assert fit(row, AudioOptions(sample_rate=11_025)).spacing == (1.0, 110 / 11_025)
    assert fit(fit(row, AudioOptions(sample_rate=8_000)), AUTO) == row  # fitting forgets nothing


def test_very_short_items_are_read_or_refused(tmp_path):
    assert row_of(tmp_path / "a.wav", 0.03).shape == (128, 3)
    with pytest.raises(Unreadable, match=r"20\.0 ms long, shorter than one window of data\.frame_ms=25"):
        row_of(tmp_path / "b.wav", 0.02)


def test_a_column_overrules_the_sample_rate(tmp_path):
    row = row_of(tmp_path / "a.wav")
    told = fit(row.replace(meta={**row.meta, "sample_rate": 8000.0}), AudioOptions(sample_rate=16_000))
    assert native_rate(told) == 8000 and told.shape == (128, 200)


def test_an_impossible_rate_asks_for_the_column(tmp_path):
    with pytest.raises(Unreadable, match=r"8 Hz.*column sample_rate"):
        row_of(tmp_path / "a.wav", 100, 8)


def test_samples_after_resampling_are_rounded_up():
    assert resampled(44_100, 44_100, 16_000) == 16_000 and resampled(3, 44_100, 16_000) == 2


@pytest.mark.parametrize(
    ("name", "group", "word"),
    [
        ("0a7c2a8d_nohash_0.wav", "0a7c2a8d", "speaker (Speech Commands"),
        ("1-100032-A-0.ogg", "100032", "recording (ESC-50"),
        ("100032-3-0-0.wav", "100032", "recording (UrbanSound8K"),
        ("84-121123-0001.flac", "84", "speaker (LibriSpeech"),
        ("7_theo_12.wav", "theo", "speaker (Free Spoken Digit"),
        ("my dog 3.wav", None, "file"),
        ("2024-05-0012.x.wav", None, "file"),
    ],
)
def test_groups_that_names_state(name, group, word):
    found, rule = group_of(Path(name))
    assert found == group and rule.startswith(word)


def test_the_set_decides_the_sample_rate(tmp_path):
    rows = [row_of(tmp_path / f"{i}.wav", rate=rate) for i, rate in enumerate((8_000, 8_000, 44_100))]
    rate, why = settle(rows, AUTO)["sample_rate"]
    assert rate == 8_000 and "2 at 8000, 1 at 44100" in why
    assert settle(rows[:2], AUTO)["sample_rate"] == (8_000, "all 2 items are at 8000 Hz")
    rate, why = settle([rows[2], rows[2], rows[0]], AUTO)["sample_rate"]
    assert rate == 16_000 and "upper bands of 1 at lower rates stay empty" in why
    assert settle(rows, AudioOptions(sample_rate=22_050)) == {} and settle([], AUTO) == {}


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"hop_ms": 30}, "leaves gaps between frames of frame_ms=25"),
        ({"fmin": 5000, "fmax": 4000}, "must lie below fmax"),
        ({"sample_rate": 8000, "fmax": 6000}, "above half of sample_rate=8000"),
        ({"sample_rate": 8}, "sample_rate"),
        ({"mels": 2}, "mels"),
        ({"mel_scale": "bark"}, "mel_scale"),
        ({"melz": 2}, "melz"),
    ],
)
def test_options_that_cannot_be(wrong, text):
    with pytest.raises(ValidationError, match=text):
        AudioOptions(**wrong)
    assert all(field.description for field in AudioOptions.model_fields.values())
