"""Spectrograms per second from storage to batch, beside the loops people write today, on the same files in one run.

    python -m benchmarks.audio_windows [--files 48] [--seconds 10] [--format wav] [--rate 44100] [--workers 0]

All serve batches of log-mel spectrograms (128 bins, 25 ms every 10 ms, 16 kHz) of random windows. Ours reads waveforms
from the cache, resampled once, and turns a batch of them into spectrograms. The others read a file at each turn, as
scripts do: `soundfile` decodes only the window, soxr resamples it, torch or librosa makes the spectrogram. Processor
time on one thread, since other work on a machine moves the wall clock.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

BATCH, RATE, MELS, HOP, FRAME = 16, 16_000, 128, 160, 400


def make_files(folder: Path, count: int, seconds: float, rate: int, ending: str) -> None:
    """Noise with tones, in one format."""
    import soundfile

    t = np.arange(int(seconds * rate)) / rate
    for i in range(count):
        rng = np.random.default_rng(i)
        samples = 0.3 * np.sin(2 * np.pi * rng.uniform(100, 4000) * t) + 0.05 * rng.standard_normal(len(t))
        soundfile.write(folder / f"{i:03d}.{ending}", samples, rate)


def ours(data: Path, folder: Path, frames: int, workers: int) -> Iterator[Any]:
    """Batches from the platform's loader and its views."""
    from ssl_platform.config.schema import ViewsConfig
    from ssl_platform.data.cache import Cache
    from ssl_platform.data.loader import Loader
    from ssl_platform.data.scan import scan
    from ssl_platform.plan import Plan
    from ssl_platform.views.maker import ViewMaker
    from ssl_platform_audio.domain import Audio
    from ssl_platform_audio.options import AudioOptions

    found = scan([data], Audio(AudioOptions(sample_rate=RATE)), folder=folder)
    domain, plan, window = found.domain, Plan.single(), (MELS, frames)
    domain.cache = Cache(folder)
    for row in found.catalog.rows():
        domain.cache.open(row, domain)
    maker = ViewMaker(domain.layout, plan, ViewsConfig(), tuple(domain.views()), window=window)
    for batch in Loader(found.catalog, domain, plan, window=window, batch_size=BATCH, workers=workers):
        yield maker.clean(batch).x


def loop(data: Path, frames: int, spectrogram: Callable[[np.ndarray], Any]) -> Iterator[Any]:
    """soundfile, soxr and a spectrogram, one file after the other."""
    import soundfile
    import soxr

    files, rng = sorted(data.iterdir()), np.random.default_rng(0)
    while True:
        batch = []
        for at in rng.integers(len(files), size=BATCH):
            info = soundfile.info(files[at])
            need = int(((frames - 1) * HOP + FRAME) * info.samplerate / RATE)
            start = int(rng.integers(max(1, info.frames - need)))
            samples, rate = soundfile.read(files[at], frames=need, start=start, dtype="float32", always_2d=True)
            batch.append(spectrogram(soxr.resample(samples.mean(1), rate, RATE)))
        yield torch.stack([torch.as_tensor(item)[..., :frames] for item in batch])


def with_torch() -> Callable[[np.ndarray], Any]:
    """torch.stft and a mel matrix, the usual 512 values a transform."""
    import librosa

    mel = torch.from_numpy(librosa.filters.mel(sr=RATE, n_fft=512, n_mels=MELS, fmin=20, htk=True, norm=None))
    window = torch.hann_window(FRAME)

    def make(samples: np.ndarray) -> Any:
        signal = torch.from_numpy(samples)
        found = torch.stft(signal, 512, HOP, FRAME, window, center=True, return_complex=True)
        return (mel @ found.abs().square()).clamp(min=1e-7).log()

    return make


def with_librosa() -> Callable[[np.ndarray], Any]:
    """librosa's mel spectrogram and decibels."""
    import librosa

    def make(samples: np.ndarray) -> Any:
        power = librosa.feature.melspectrogram(
            y=samples, sr=RATE, n_fft=512, hop_length=HOP, win_length=FRAME, n_mels=MELS, fmin=20, htk=True
        )
        return librosa.power_to_db(power).astype(np.float32)

    return make


def rate(batches: Iterator[Any], seconds: float) -> float:
    """Spectrograms per second of processor time, after two batches to warm up."""
    for _ in range(2):
        shape = tuple(next(batches).shape)
    assert shape[0] == BATCH and shape[-2] == MELS, shape
    begun, count = time.process_time(), 0
    while time.process_time() - begun < seconds or count < 2 * BATCH:
        next(batches)
        count += BATCH
    return count / (time.process_time() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=48)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a file")
    parser.add_argument("--format", default="wav,flac,ogg,mp3")
    parser.add_argument("--rate", type=int, default=44_100)
    parser.add_argument("--window", default="100,1000", help="frames")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--time", type=float, default=2.0, help="seconds of processor time for each figure")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    print(f"spectrograms/s of processor time, batches of {BATCH}, files of {options.seconds:g} s at {options.rate} Hz")
    for ending in options.format.split(","):
        with tempfile.TemporaryDirectory() as temporary:
            data, cache = Path(temporary, "data"), Path(temporary, "cache")
            data.mkdir()
            make_files(data, options.files, options.seconds, options.rate, ending)
            for frames in map(int, options.window.split(",")):
                mine = rate(ours(data, cache, frames, options.workers), options.time)
                name = f"{ending:5} {frames / 100:5.2f} s"
                print(f"{name}  {'ssl-platform':28}{mine:10.1f}", flush=True)
                for who, make in (
                    ("soundfile + soxr + torch", with_torch),
                    ("soundfile + soxr + librosa", with_librosa),
                ):
                    other = rate(loop(data, frames, make()), options.time)
                    print(f"{name}  {who:28}{other:10.1f}{mine / other:10.1f}x", flush=True)


if __name__ == "__main__":
    main()
