"""The nastiest recordings: used by a rule that is said, or refused in one line with a way out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

RNG = np.random.default_rng(0)


def tone(seconds: float = 1.0, rate: int = 16000) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * 300 * t) + 0.01 * RNG.standard_normal(len(t))).astype(np.float32)


def sound(path: Path, samples: np.ndarray | None = None, rate: int = 16000, **words: str) -> None:
    import soundfile

    soundfile.write(path, tone() if samples is None else samples, rate, **words)


def dropouts(path: Path) -> None:
    samples = tone()
    samples[100:200] = np.nan
    sound(path, samples, subtype="FLOAT")


def recorder_cut_off(path: Path) -> None:
    sound(path)
    raw = path.read_bytes()
    path.write_bytes(raw[:4] + bytes(4) + raw[8:40] + bytes(4) + raw[44:])


def from_a_pipe(path: Path) -> None:
    sound(path)
    raw = path.read_bytes()
    path.write_bytes(raw[:4] + b"\xff" * 4 + raw[8:40] + b"\xff" * 4 + raw[44:])


def misnamed(path: Path) -> None:
    sound(path.with_suffix(".mp3"), tone(2.0))
    path.with_suffix(".mp3").rename(path)


def good(path: Path) -> None:
    sound(path)


GOOD = "good{}.wav"
NASTIEST = {
    "dropouts.wav": (dropouts, True, "dropouts.wav: 100 of its samples are NaN or infinite: they count as missing"),
    "whole_numbers.wav": (
        lambda path: sound(path, 32000 * tone(), subtype="FLOAT"),
        True,
        "times full scale: the whole item was scaled down to it",
    ),
    "offset.wav": (lambda path: sound(path, 0.2 * tone() + 0.6), True, "a constant offset of 60 % of full scale was t"),
    "phone.wav": (
        lambda path: sound(path, tone(1, 8000), 8000, subtype="ULAW"),
        True,
        "the upper bands of 1 at lower rates stay empty",
    ),
    "pipe.wav": (from_a_pipe, True, "quarantined: 3"),
    "really_mp3.wav": (misnamed, True, "quarantined: 3"),
    "cut_off.wav": (recorder_cut_off, False, "the recorder was cut off; repair it, e.g. ffmpeg -ignore_length 1"),
    "no_rate.wav": (lambda path: sound(path, rate=1), False, "a sample rate of 1 Hz: state the true one in a manifest"),
    "pointer.wav": (None, False, "a Git LFS pointer"),
}


def test_it_is_used_by_a_rule_or_refused_with_a_way_out(told, nasty: str) -> None:
    told.check(nasty)
