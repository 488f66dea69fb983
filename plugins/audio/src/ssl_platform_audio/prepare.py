"""An item as the cache keeps it: one channel at the set's sample rate, int16."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ssl_platform.data.prepared import Prepared
from ssl_platform.errors import Unreadable
from ssl_platform.types import Row
from ssl_platform_audio.items import CHANNEL, header_from, native_rate, resampled, spectrum_of
from ssl_platform_audio.levels import FULL_SCALE, Level, cancels, frame_levels, mean_level, sounding
from ssl_platform_audio.options import AudioOptions
from ssl_platform_audio.readers import Header, blocks, first_block

_IN_MEMORY = 1 << 26  # samples decoded once and held; longer items are decoded twice
_CELLS = 4096
_SILENT = 2.0**-14  # a peak of two steps of 16 bits

Pieces = Iterator[np.ndarray]


def prepare(row: Row, options: AudioOptions) -> Prepared:
    """The whole waveform `[1, samples]`, whose windows become spectrograms on the device.

    Channels are mixed down, the mean is taken off, peaks above full scale (floating point files) are scaled down to it,
    samples that are not finite become invalid.

    Raises:
        Unreadable: it is silent, or cannot be decoded to its end.
    """
    header, spectrum, path = header_from(row), spectrum_of(row, options), Path(row.path)
    pieces = _pieces(path, header, options.mixdown)
    level = Level.of(pieces())
    mixed = header.channels > 1 and options.mixdown == "mean"
    cancelled = mixed and cancels(first_block(path))
    if level.peak < _SILENT:
        raise Unreadable(_nothing(level, cancelled))
    gain = 1.0 / level.peak if header.may_exceed and level.peak > 1.0 else 1.0
    native = native_rate(row)
    count = resampled(header.frames, native, spectrum.rate)
    values, lost = _waveform(pieces(), level.mean, gain, native, spectrum.rate, count)
    levels = frame_levels(values, spectrum.hop)
    audible = sounding(levels)
    return Prepared(
        data=values[None],
        spacing=(1.0 / spectrum.rate,),
        channels=(CHANNEL,),
        valid=_valid(lost, spectrum.rate / native, count) if len(lost) else None,
        foreground=_cells(audible),
        facts={
            "level_db": mean_level(levels),
            "offset": level.mean,
            "gain": gain,
            "sound": float(audible.mean()),
            "cancelled": float(cancelled),
            "lost": float(len(lost)),
        },
        grid=(spectrum.mels, spectrum.frames(count)),
    )


def _nothing(level: Level, cancelled: bool) -> str:
    """Why there is nothing to hear."""
    if not level.count:
        return "every sample is NaN or infinite"
    if cancelled:
        return "its channels cancel each other to silence when mixed: set data.mixdown=first"
    if level.peak:
        return f"silent: its peak is {20 * np.log10(level.peak):.0f} dB of full scale"
    return f"constant: every sample is {level.mean:.4g}" if level.mean else "silent: every sample is 0"


def _pieces(path: Path, header: Header, mixdown: str) -> Callable[[], Pieces]:
    """What gives the samples once more at each call; short items are decoded only once."""
    if header.frames > _IN_MEMORY:
        return lambda: blocks(path, header, mixdown)
    held = list(blocks(path, header, mixdown))
    return lambda: iter(held)


def _waveform(
    pieces: Pieces, mean: float, gain: float, native: float, rate: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """`[count]` int16 samples at `rate`, and which samples of the file are not finite."""
    import soxr

    stream = None if native == rate else soxr.ResampleStream(native, rate, 1, dtype="float32", quality="HQ")
    values = np.zeros(count, dtype=np.int16)
    lost: list[np.ndarray] = []
    read = done = 0
    for piece, last in _with_last(pieces):
        finite = np.isfinite(piece)
        if not finite.all():
            lost.append(read + np.flatnonzero(~finite))
        read += len(piece)
        samples = np.where(finite, (piece - np.float32(mean)) * np.float32(gain), np.float32(0.0))
        if stream is not None:
            samples = stream.resample_chunk(samples, last=last)
        samples = samples[: count - done]
        values[done : done + len(samples)] = np.rint(samples * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE - 1)
        done += len(samples)
    return values, np.concatenate(lost) if lost else np.zeros(0, np.int64)


def _with_last(pieces: Pieces) -> Iterator[tuple[np.ndarray, bool]]:
    """Each piece, and whether it is the last."""
    held = next(pieces)
    for piece in pieces:
        yield held, False
        held = piece
    yield held, True


def _valid(lost: np.ndarray, ratio: float, count: int) -> np.ndarray:
    """`[count]` bool: False wherever a lost sample lies after resampling."""
    steps = np.zeros(count + 1, dtype=np.int32)
    np.add.at(steps, np.minimum((lost * ratio).astype(np.int64), count), 1)
    np.add.at(steps, np.minimum(np.ceil((lost + 1) * ratio).astype(np.int64), count), -1)
    return np.cumsum(steps[:-1]) == 0


def _cells(audible: np.ndarray) -> np.ndarray:
    """`[n, 2]` cells of sound, at most 4096 of them, evenly taken; their bin is 0."""
    frames = np.flatnonzero(audible)
    frames = frames[np.linspace(0, len(frames) - 1, min(_CELLS, len(frames))).astype(np.int64)]
    return np.stack([np.zeros_like(frames), frames], axis=1)
