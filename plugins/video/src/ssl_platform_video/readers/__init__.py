"""One module a decoder. All answer the same question: which frames are shown at these times?

A decoder module has `serves(clip) -> str | None` (why it would read a video otherwise than PyAV, or None) and
`read(clip) -> [n, h, w, 3]`. PyAV is always there and reads everything; the others are used where they were asked for,
proved themselves (`prove`) and serve the video.
"""

from __future__ import annotations

import importlib
import logging
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import numpy as np

from ssl_platform.errors import ConfigError, Unreadable

_log = logging.getLogger(__name__)

SOON = 4.7e-4
"""Seconds by which a frame may begin after the time asked for: some files round their clocks to milliseconds. No whole
number of the ticks of usual clocks, so that no frame begins just then."""


@dataclass(frozen=True)
class Clip:
    """Frames to read.

    Attributes:
        path: the file, or the folder of frames.
        times: `[n]` ascending s from the first frame on; of each the frame shown then is read.
        size: height and width to scale the stored frames to (before `rotation`).
        stream: index of the video stream; -1 for a folder of frames.
        start: time of the first frame on the file's clock, s.
        rotation: degrees clockwise, 0, 90, 180 or 270, that makes frames upright.
        fps: frames per second (of folders: what places the frames in time).
        pixels: pixel format.
        usual: whether FFmpeg itself would pick the stream.
    """

    path: str
    times: np.ndarray
    size: tuple[int, int]
    stream: int = 0
    start: float = 0.0
    rotation: int = 0
    fps: float = 25.0
    pixels: str = "yuv420p"
    usual: bool = True


def read_clip(clip: Clip, decoder: str = "pyav") -> np.ndarray:
    """The frames of a clip, upright: `[n, h, w, 3]` uint8 RGB (`h` and `w` swapped for quarter turns).

    Another decoder than PyAV gives way to it where it would read the video otherwise or fails on it.

    Raises:
        Unreadable: the content cannot be decoded.
    """
    if len(clip.times) == 0:
        frames = np.empty((0, *clip.size, 3), np.uint8)
    elif clip.stream < 0:
        frames = _module("frames").read(clip)
    else:
        frames = _decoded(clip, decoder)
    return np.rot90(frames, -clip.rotation // 90, axes=(1, 2)) if clip.rotation else frames


def _decoded(clip: Clip, decoder: str) -> np.ndarray:
    if decoder not in ("pyav", "auto"):
        module = _module(decoder)
        why = module.serves(clip)
        if why is None:
            try:
                return np.asarray(module.read(clip))
            except Exception as error:  # whatever it raises, PyAV decides whether the file is damaged
                why = f"{type(error).__name__}: {error}"
        _log.debug("%s: read with PyAV, not %s (%s)", clip.path, decoder, why)
    return np.asarray(_module("pyav").read(clip))


def _module(decoder: str) -> ModuleType:
    name = {"decord": "decord_reader", "torchcodec": "torchcodec_reader"}.get(decoder, decoder)
    return importlib.import_module(f"ssl_platform_video.readers.{name}")


@lru_cache(maxsize=4)
def prove(decoder: str) -> str:
    """Decode a frame with a decoder and compare it with PyAV's; return one line saying that it works.

    Raises:
        ConfigError: it does not; says why and what would help.
    """
    from ssl_platform_video.encode import write_video

    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    frames = [np.stack([np.roll(np.tile(ramp, (48, 1)), 6 * i, 1)] * 3, -1) for i in range(8)]
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(Path(folder, "proof.mp4"), frames, 10)
        clip = Clip(str(path), np.array([0.05, 0.45]), (48, 64))
        expected = _module("pyav").read(clip)
        if np.abs(expected - np.stack([frames[0], frames[4]]).astype(int)).mean() > 12:
            raise ConfigError("PyAV decodes other frames than were written: reinstall it (pip install --force av)")
        if decoder in ("pyav", "auto"):
            return "PyAV decodes what was written"
        try:
            found = _module(decoder).read(clip)
        except Unreadable as error:
            raise ConfigError(_no_decoder(decoder, error.why)) from None
        except Exception as error:  # a library that cannot be loaded raises anything
            raise ConfigError(_no_decoder(decoder, str(error).strip().partition("\n")[0])) from None
        if np.abs(found.astype(int) - expected).mean() > 2:
            raise ConfigError(_no_decoder(decoder, "it gives other frames than PyAV"))
    return f"{decoder} decodes the frames PyAV decodes"


def _no_decoder(decoder: str, why: str) -> str:
    helps = {
        "torchcodec": "it needs FFmpeg's shared libraries on the system",
        "decord": "it has wheels for Linux x86_64 and Windows only",
    }
    return f"data.decoder={decoder} cannot decode here ({why[:160]}; {helps.get(decoder, '')}): use data.decoder=pyav"
