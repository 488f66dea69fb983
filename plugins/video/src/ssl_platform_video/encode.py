"""Writing videos: the sample set, prepared copies, tests and doctor checks go through here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.errors import RunFailed

TICKS = 10_000
"""Ticks a second of videos with frames at times of their own (MPEG-4 part 2 allows up to 65535)."""
_CODECS = {".webm": ("libvpx-vp9", "libvpx"), ".avi": ("mpeg4", "libx264")}
_USUAL = ("libx264", "libopenh264", "mpeg4")


def codec_for(suffix: str) -> str:
    """The first encoder for a container that this FFmpeg has and that opens.

    Raises:
        RunFailed: there is none.
    """
    import av

    names = _CODECS.get(suffix, _USUAL)
    for name in names:
        with contextlib.suppress(ValueError, av.error.FFmpegError):
            av.codec.Codec(name, "w")
            return name
    raise RunFailed(
        f"this build of FFmpeg encodes none of {', '.join(names)}, which {suffix} needs: install PyAV's wheel"
    )


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    fps: float | Fraction,
    *,
    times: Sequence[float] | None = None,
    rotation: int = 0,
    gop: int = 16,
    quality: int = 20,
    codec: str | None = None,
    pixels: str | None = None,
    preset: str = "veryfast",
) -> Path:
    """Write frames as one video stream; the ending of `path` names the container. Written aside and moved into place.

    The same frames give the same bytes on every machine with the same FFmpeg.

    Args:
        path: `.mp4`, `.mov`, `.mkv`, `.webm` or `.avi`.
        frames: `[H, W, 3]` uint8 RGB each; H and W are even for 4:2:0 encoders.
        fps: frames per second (where `times` are given, only the nominal rate).
        times: time of each frame in s, ascending: a variable frame rate. Not for `.avi`, which has none.
        rotation: degrees anticlockwise players turn the frames by (stored as display matrix).
        gop: frames from one key frame to the next.
        quality: constant rate factor of x264 and VP9, quantiser of MPEG-4.
        codec: name of the encoder; the container's usual one when None.
        pixels: pixel format; the encoder's 4:2:0 when None.
        preset: of x264.

    Raises:
        RunFailed: no encoder, or it refuses the frames.
    """
    import av

    name = codec or codec_for(path.suffix)
    rate = Fraction(fps).limit_denominator(1001)
    draft = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        with av.open(str(draft), "w", options={"fflags": "+bitexact"}) as container:
            stream: Any = None
            for at, frame in enumerate(frames):
                if stream is None:
                    stream = _stream(container, name, rate, frame.shape, pixels, gop, quality, preset)
                    if times is not None:
                        stream.codec_context.time_base = Fraction(1, TICKS)
                    if rotation:
                        stream.set_display_rotation(rotation)
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
                picture.pts = at if times is None else round(times[at] * TICKS)
                picture.time_base = 1 / rate if times is None else Fraction(1, TICKS)
                container.mux(stream.encode(picture))
            if stream is not None:
                container.mux(stream.encode())
        draft.replace(path)
    except (av.error.FFmpegError, ValueError) as error:
        raise RunFailed(f"{path} cannot be written as {name}: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return path


def _stream(
    container: Any,
    codec: str,
    rate: Fraction,
    shape: tuple[int, ...],
    pixels: str | None,
    gop: int,
    quality: int,
    preset: str,
) -> Any:
    stream = container.add_stream(codec, rate=rate)
    stream.height, stream.width = shape[:2]
    stream.pix_fmt = pixels or "yuv420p"
    context = stream.codec_context
    context.gop_size, context.thread_count = gop, 1
    if codec == "mpeg4":
        context.qmin = context.qmax = max(1, quality // 8)
    elif codec == "libx264":
        # Macroblock trees read past the edges of small frames: the same frames gave other files from run to run.
        context.options = {"crf": str(quality), "preset": preset, "mbtree": "0"}
    elif codec.startswith("libvpx"):
        context.options = {"crf": str(quality), "b:v": "0", "deadline": "realtime", "cpu-used": "8"}
    return stream
