"""A file as a catalog row: its grid follows from its header and the options."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from ssl_platform.errors import Unreadable
from ssl_platform.types import Row
from ssl_platform_audio import names
from ssl_platform_audio.options import AudioOptions
from ssl_platform_audio.readers import Header, header_of
from ssl_platform_audio.spectrum import USUAL_RATE, Spectrum

CHANNEL = "log-mel"
_LOWEST_RATE = 1000
_HIGHEST_RATE = 768_000


def rows_of(path: Path, options: AudioOptions) -> Iterator[Row]:
    """The one row of a file.

    Raises:
        Unreadable: it cannot be used.
    """
    header = header_of(path)
    group, rule = names.group_of(path)
    row = Row(
        id=path.name,
        path=str(path),
        shape=(),
        channels=(CHANNEL,),
        dtype="int16",
        group=group,
        meta={
            "frames": header.frames,
            "native_rate": header.rate,
            "native_channels": header.channels,
            "subtype": header.subtype,
            "group_rule": rule,
        },
    )
    yield fit(row, options)


def fit(row: Row, options: AudioOptions) -> Row:
    """The row in the grid of its spectrogram.

    The manifest's column `sample_rate` overrules the header.

    Raises:
        Unreadable: the sample rate cannot be, or the item is shorter than one analysis window.
    """
    native = native_rate(row)
    if not _LOWEST_RATE <= native <= _HIGHEST_RATE:
        raise Unreadable(f"a sample rate of {native:g} Hz: state the true one in a manifest column sample_rate")
    spectrum = spectrum_of(row, options)
    samples = resampled(header_from(row).frames, native, spectrum.rate)
    if samples < spectrum.frame:
        milliseconds = 1000 * samples / spectrum.rate
        raise Unreadable(f"{milliseconds:.1f} ms long, shorter than one window of data.frame_ms={options.frame_ms:g}")
    return row.replace(shape=(spectrum.mels, spectrum.frames(samples)), spacing=spectrum.spacing)


def native_rate(row: Row) -> float:
    """Hz of the file: the manifest's column, else the header."""
    told = row.meta.get("sample_rate") or row.meta.get("native_rate")
    return float(told or 0)


def target_rate(row: Row, options: AudioOptions) -> int:
    """Hz the item is resampled to; before the set has settled it, its own up to 16 kHz."""
    return int(min(native_rate(row), USUAL_RATE)) if options.sample_rate == "auto" else int(options.sample_rate)


def spectrum_of(row: Row, options: AudioOptions) -> Spectrum:
    """How the item becomes a spectrogram."""
    return Spectrum.of(options, target_rate(row, options))


def header_from(row: Row) -> Header:
    """The header the row was made from."""
    meta = row.meta
    return Header(
        int(meta["frames"] or 0), int(meta["native_rate"] or 0), int(meta["native_channels"] or 1), str(meta["subtype"])
    )


def resampled(frames: int, native: float, rate: int) -> int:
    """Samples after resampling."""
    return math.ceil(frames * rate / native - 1e-9)
