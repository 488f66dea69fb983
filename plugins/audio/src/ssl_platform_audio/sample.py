"""Built-in sample data: a labelled set of recorded calls, in the formats recordings come in.

Every call has two strokes whose pitch glides by the same interval at the same speed; the label is **which way each
glides**: `rising` (up, up), `falling` (down, down), `arching` (up, down), `dipping` (down, up). Everything easier to
hear is drawn apart from the label: pitch, interval, speed, timbre, how often and how loud it is called, hum, noise and
its colour, the microphone, length, sample rate, channels and file format. All classes sweep the same pitches for the
same time with the same onsets, so spectrum, level and rhythm tell nothing of the class; where the pitch goes does.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

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
_VERSION = 1


def write_sample_set(folder: Path, seed: int = 0, items: int = 144) -> Path:
    """Write the set unless it is there already.

    Args:
        folder: gets `recordings/`, `sample.json` and `manifest.csv`.
        seed: of everything drawn.
        items: recordings; all classes are equally frequent at every site.

    Returns:
        path of the manifest (columns path, label, group, split).
    """
    manifest, stamp = folder / "manifest.csv", folder / "sample.json"
    about = {"version": _VERSION, "seed": seed, "items": items}
    if manifest.exists() and stamp.exists() and json.loads(stamp.read_text(encoding="utf-8")) == about:
        return manifest
    (folder / "recordings").mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        rows = list(pool.map(lambda at: _write_item(folder, seed, at), range(items)))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    _replace(stamp, json.dumps(about).encode())
    _replace(manifest, text.getvalue().encode())
    return manifest


def _write_item(folder: Path, seed: int, at: int) -> dict[str, str]:
    """One recording; its row of the manifest."""
    import soundfile

    label = tuple(CLASSES)[at % len(CLASSES)]
    site = at // len(CLASSES) % _SITES
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
    length = float(rng.uniform(2.2, 2.9))
    time = np.arange(int(length * rate)) / rate
    stroke = float(np.exp(rng.uniform(np.log(0.26), np.log(0.4))))
    pause = float(rng.uniform(0.7, 1.0)) * stroke
    base, interval = float(np.exp(rng.uniform(np.log(350), np.log(700)))), float(rng.uniform(1.2, 1.6))
    timbre = np.array([1.0, *rng.uniform(0.2, 0.9, 2)])
    samples = np.zeros(len(time))
    start = float(rng.uniform(-0.5, 0.5)) * stroke
    while start < length:
        for number, direction in enumerate(CLASSES[label]):
            _add_stroke(samples, rate, start + number * stroke, stroke, base, direction * interval, timbre)
        start += 2 * stroke + pause
    samples += float(rng.uniform(0.0, 0.03)) * np.sin(2 * np.pi * float(rng.uniform(80, 3000)) * time)
    samples = _coloured(samples, rate, float(site.uniform(-6, 6)))
    noise = _coloured(rng.standard_normal(len(time)), rate, float(site.uniform(-9, 3)))
    level = np.sqrt(np.mean(samples**2)) / np.sqrt(np.mean(noise**2))
    samples += noise * level * 10 ** (-float(site.uniform(14, 24)) / 20)
    return np.asarray(samples / np.abs(samples).max() * 10 ** (float(rng.uniform(-24, -3)) / 20), dtype=np.float32)


def _add_stroke(
    samples: np.ndarray, rate: int, start: float, length: float, base: float, octaves: float, timbre: np.ndarray
) -> None:
    """Add one glide over `octaves` (downwards where negative) with soft edges to `[samples]`."""
    first, last = (min(max(0, round(at * rate)), len(samples)) for at in (start, start + length))
    at = (np.arange(first, last) / rate - start) / length
    steepness = octaves * np.log(2.0)
    # The integral of lowest * exp(steepness * at), which is the phase of a pitch that glides evenly in octaves.
    begin = base if octaves > 0 else base * np.exp(-steepness)
    phase = 2 * np.pi * begin * length / steepness * np.expm1(steepness * at)
    edge = np.minimum(1.0, np.minimum(at, 1 - at).clip(min=0.0) * length / 0.02)
    tones = sum(size * np.sin((number + 1) * phase) for number, size in enumerate(timbre))
    samples[first:last] += np.square(np.sin(edge * np.pi / 2)) * tones


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
