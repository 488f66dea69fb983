"""Built-in sample data: a labelled set of recorded calls, in the formats recordings come in.

A call is a buzz in two strokes, through a resonance that glides by the same interval at the same speed, as in speech;
the label is **which way it glides**: `rising` (up, up), `falling` (down, down), `arching` (up, down), `dipping` (down,
up). Everything easier to hear is drawn apart from the label: the resonance and its width, interval, speed, buzz, a
second resonance, how often and how loud it is called, hum, noise and its colour, the microphone, length, sample rate,
channels and file format. All classes sweep the same frequencies for the same time with the same onsets, so neither
spectrum nor level tells anything of the class; where the resonance goes does.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ssl_platform.data.sample_set import write_once

CLASSES: Mapping[str, tuple[int, int]] = {
    "rising": (1, 1),
    "falling": (-1, -1),
    "arching": (1, -1),
    "dipping": (-1, 1),
}
"""Direction of the first and the second stroke."""
FORMATS = (
    ("wav", "PCM_16"),
    ("wav", "FLOAT"),
    ("flac", "PCM_16"),
    ("flac", "PCM_24"),
    ("ogg", "VORBIS"),
    ("mp3", None),
)
RATES = (16_000, 22_050, 44_100)
_SITES = 24  # a site is one microphone in one place: the group
_SPLITS = ("train",) * 14 + ("val",) * 5 + ("test",) * 5
_VERSION = 2


def write_sample_set(folder: Path, seed: int = 0, items: int = 144) -> Path:
    """Write the set unless it is there already.

    Args:
        folder: gets `recordings/` and `manifest.csv`.
        seed: of everything drawn.
        items: recordings; all classes are equally frequent at every site.

    Returns:
        path of the manifest (columns path, label, group, split).
    """

    def write() -> list[dict[str, str]]:
        (folder / "recordings").mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            return list(pool.map(lambda at: _write_item(folder, seed, at, items), range(items)))

    return write_once(folder, {"version": _VERSION, "seed": seed, "items": items}, write)


def _write_item(folder: Path, seed: int, at: int, items: int) -> dict[str, str]:
    """One recording; its row of the manifest."""
    import soundfile

    label = tuple(CLASSES)[at % len(CLASSES)]
    site = at * _SITES // items
    rng = np.random.default_rng([seed, at])
    ending, subtype = FORMATS[int(rng.integers(len(FORMATS)))]
    rate = RATES[int(rng.integers(len(RATES)))]
    samples = recording(label, rate, rng, np.random.default_rng([seed, 1, site]))
    if rng.random() < 0.3:  # a second microphone hears the same a little later and quieter
        samples = np.stack([samples, 0.8 * np.roll(samples, int(rate * 0.0004))], axis=1)
    path = folder / "recordings" / f"rec{at:03d}.{ending}"
    data = io.BytesIO()
    soundfile.write(data, samples, rate, format=ending.upper(), subtype=subtype)
    _replace(path, data.getvalue())
    return {
        "path": f"recordings/{path.name}",
        "label": label,
        "group": f"site{site:02d}",
        "split": _SPLITS[site],
    }


def recording(label: str, rate: int, rng: np.random.Generator, site: np.random.Generator) -> np.ndarray:
    """Calls of a class in the noise of a site: `[samples]` float32 in units of full scale.

    Args:
        label: one of `CLASSES`.
        rate: Hz.
        rng: of everything that differs from recording to recording.
        site: of everything the recordings of a site share.
    """
    length = float(rng.uniform(2.6, 3.2))
    stroke = float(np.exp(rng.uniform(np.log(0.4), np.log(0.6))))
    pause = float(rng.uniform(0.4, 0.6)) * stroke
    base, octaves = float(np.log2(rng.uniform(450, 700))), float(rng.uniform(1.6, 2.0))
    pulses = np.arange(0.0, length, 1 / float(rng.uniform(55, 75)))
    at = (pulses + float(rng.uniform(0.0, 1.0)) * (2 * stroke + pause)) % (2 * stroke + pause) / stroke
    centre = np.full(len(pulses), base)
    for number, direction in enumerate(CLASSES[label]):
        share = (at - number).clip(0, 1)
        centre = np.where(
            (at >= number) & (at < number + 1), base + octaves * (share if direction > 0 else 1 - share), centre
        )
    edge = np.minimum(at % 1, 1 - at % 1) * stroke / 0.02
    loud = np.where(at < 2, np.square(np.sin(edge.clip(0, 1) * np.pi / 2)), 0.0)
    samples = np.zeros(int(length * rate))
    _add_pulses(samples, rate, pulses, centre, loud, float(rng.uniform(0.25, 0.4)))
    steady = np.full(len(pulses), np.log2(float(rng.uniform(4000, 5500))))
    _add_pulses(samples, rate, pulses, steady, loud * 10 ** (-float(rng.uniform(3, 12)) / 20), 0.15)
    hum = np.full(len(pulses), np.log2(float(rng.uniform(300, 5000))))
    _add_pulses(samples, rate, pulses, hum, np.full(len(pulses), 10 ** (-float(rng.uniform(26, 34)) / 20)), 0.5)
    samples = _coloured(samples, rate, float(site.uniform(-3, 3)))
    noise = _coloured(rng.standard_normal(len(samples)), rate, float(site.uniform(-9, -3)))
    ratio = np.sqrt(np.mean(samples**2) / np.mean(noise**2))
    samples += noise * ratio * 10 ** (-float(site.uniform(40, 50)) / 20)
    return np.asarray(samples / np.abs(samples).max() * 10 ** (float(rng.uniform(-24, -3)) / 20), dtype=np.float32)


def _add_pulses(
    samples: np.ndarray, rate: int, times: np.ndarray, centre: np.ndarray, loud: np.ndarray, width: float
) -> None:
    """Add a buzz through one resonance, pulse by pulse, to `[samples]`.

    Args:
        samples: changed in place.
        rate: Hz.
        times: `[n]` seconds.
        centre: `[n]` the resonance in octaves (the logarithm to base 2 of Hz).
        loud: `[n]` amplitudes.
        width: of the resonance in octaves, a normal curve.
    """
    from scipy import fft

    size = int(fft.next_fast_len(round(0.05 * rate), real=True))
    octaves = np.log2(fft.rfftfreq(size, 1 / rate).clip(20.0, None))
    response = loud[:, None] * np.exp(-0.5 * ((octaves - centre[:, None]) / width) ** 2)
    shapes = np.roll(fft.irfft(response, size), size // 2, axis=1)
    for shape, start in zip(shapes, np.rint(times * rate).astype(int) - size // 2, strict=True):
        first, last = max(start, 0), min(start + size, len(samples))
        samples[first:last] += shape[first - start : last - start]


def _coloured(samples: np.ndarray, rate: int, slope: float) -> np.ndarray:
    """Through a filter of `slope` dB an octave about 1 kHz."""
    from scipy import fft

    size = fft.next_fast_len(len(samples), real=True)
    response = (fft.rfftfreq(size, 1 / rate).clip(50.0, None) / 1000.0) ** (slope / (20 * np.log10(2)))
    return np.asarray(fft.irfft(fft.rfft(samples, size) * response, size)[: len(samples)])


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    draft.write_bytes(data)
    draft.replace(path)
