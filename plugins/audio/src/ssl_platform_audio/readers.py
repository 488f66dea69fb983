"""Audio files through libsndfile: their headers, and their samples in blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_audio import mpeg, ogg

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au", ".caf", ".w64", ".rf64")
OTHERS = (".m4a", ".aac", ".wma", ".amr", ".mp4a")
"""Recordings libsndfile has no decoder for: they are refused by name, never passed over."""
_BLOCK = 1 << 18  # sample frames read at once
_HEADER = 1 << 12  # bytes the header of a WAV may take
_SHORTER = re.compile(r"^\s*(?:data|SSND)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
_STREAMED = 0x7FFFFFFF  # sizes from here on are what programs write that do not know the length yet


@dataclass(frozen=True)
class Header:
    """What an audio file says of itself.

    Attributes:
        frames: samples of each channel.
        rate: Hz.
        channels: their number.
        subtype: how samples are stored, such as `PCM_16`, `VORBIS`.
    """

    frames: int
    rate: int
    channels: int
    subtype: str

    @property
    def may_exceed(self) -> bool:
        """Whether samples may lie beyond full scale on purpose: floating point files."""
        return self.subtype in ("FLOAT", "DOUBLE")


def header_of(path: Path) -> Header:
    """The header of a file.

    Raises:
        Unreadable: it is not audio that can be decoded, or is cut off.
    """
    import soundfile

    if path.suffix.lower() in OTHERS:
        raise Unreadable(f"{path.suffix[1:].upper()} is not decoded: convert it, e.g. ffmpeg -i IN OUT.flac")
    if path.suffix.lower() == ".mp3":
        mpeg.check(path)
    if path.suffix.lower() in ogg.SUFFIXES:
        ogg.check(path)
    try:
        info = soundfile.info(str(path), verbose=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise Unreadable(_why(path, error)) from error
    found = _SHORTER.search(info.extra_info or "")
    if found and int(found[1]) < _STREAMED and int(found[2]) < int(found[1]):
        raise Unreadable(f"truncated: {int(found[2]):,} of {int(found[1]):,} bytes of samples are there")
    if info.frames <= 0 or info.frames >= 1 << 62:
        if path.suffix.lower() == ".wav" and path.stat().st_size > _HEADER:
            raise Unreadable(
                "its header says no samples, but more than a header is there: the recorder was cut off; "
                "repair it, e.g. ffmpeg -ignore_length 1 -i IN OUT.flac"
            )
        raise Unreadable("it holds no samples: the header is all there is")
    return Header(int(info.frames), int(info.samplerate), int(info.channels), str(info.subtype))


def blocks(path: Path, header: Header, mixdown: str) -> Iterator[np.ndarray]:
    """The samples of one channel in pieces, `[n]` float32 in units of full scale.

    Args:
        path: of the file.
        header: of it.
        mixdown: `mean` of the channels, or the `first`.

    Raises:
        Unreadable: fewer samples can be decoded than the header promises.
    """
    import soundfile

    try:
        with soundfile.SoundFile(str(path)) as stream:
            done = 0
            while done < header.frames:
                piece = stream.read(min(_BLOCK, header.frames - done), dtype="float32", always_2d=True)
                if not len(piece):
                    raise Unreadable(f"truncated: {done:,} of {header.frames:,} samples can be decoded")
                done += len(piece)
                yield piece[:, 0] if mixdown == "first" or header.channels == 1 else piece.mean(axis=1)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise Unreadable(_why(path, error)) from error
    except FileNotFoundError as error:
        raise Unreadable("it is no longer there: scan again") from error


def first_block(path: Path) -> np.ndarray:
    """`[n, C]` float32: all channels at the start of a file."""
    import soundfile

    samples, _ = soundfile.read(str(path), frames=_BLOCK, dtype="float32", always_2d=True)
    return np.asarray(samples)


def _why(path: Path, error: BaseException) -> str:
    """One line about what libsndfile could not do."""
    if not path.exists():
        return "it is no longer there: scan again"
    try:
        start = path.open("rb").read(64)
    except PermissionError:
        return "permission denied: make it readable (chmod u+r)"
    said = str(error).partition(": ")[2] or str(error)
    if start and all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in start):
        return f"text, not {path.suffix[1:].upper()} audio although its name says so"
    return f"truncated or damaged {path.suffix[1:].upper()} ({said.strip().rstrip('.')})"
