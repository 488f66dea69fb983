"""What a file says of its video, without decoding more than one frame: which stream, which frames, which way up."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ssl_platform.errors import Unreadable

_LEAST = 2
_UNEVEN = 0.25
# A stream that ends this much before what its own header promises was cut off.
_MISSING = 0.02


@dataclass(frozen=True)
class Header:
    """One video stream.

    Attributes:
        stream: its index in the file, -1 for a folder of frames.
        streams: number of video streams of the file that are not cover pictures.
        start: time of the first frame in s, on the file's own clock.
        duration: from the start of the first frame to the end of the last, s.
        frames: number of frames.
        fps: frames per second on average.
        variable: whether frames come at uneven times.
        height, width: stored pixels.
        aspect: width of a pixel over its height.
        rotation: degrees clockwise, 0, 90, 180 or 270, that stored frames are turned by to be upright.
        codec: name of the codec.
        pixels: pixel format.
        usual: whether FFmpeg itself would pick this stream.
    """

    stream: int
    streams: int
    start: float
    duration: float
    frames: int
    fps: float
    variable: bool
    height: int
    width: int
    aspect: float = 1.0
    rotation: int = 0
    codec: str = ""
    pixels: str = ""
    usual: bool = True

    @property
    def folder(self) -> bool:
        """Whether it is a folder of frames."""
        return self.stream < 0

    @property
    def shown(self) -> tuple[int, int]:
        """Height and width once pixels are square and the frame is upright."""
        across = max(1, round(self.width * self.aspect))
        return (across, self.height) if self.rotation % 180 else (self.height, across)

    def stored(self, shown: tuple[int, ...]) -> tuple[int, int]:
        """Height and width before frames are turned upright, of those after."""
        height, width = shown
        return (width, height) if self.rotation % 180 else (height, width)

    def as_meta(self) -> dict[str, Any]:
        """Facts for `Row.meta`."""
        return asdict(self)

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> Header:
        """The header whose facts a row carries."""
        return cls(**{field.name: meta[field.name] for field in fields(cls)})


def read_header(path: Path, choice: str | int = "largest") -> Header:
    """Look at a video file.

    Of several video streams the one of most pixels is taken, then the one of most frames, then the first; cover
    pictures are no video. All packets are read (not decoded), so times and number of frames are those of the stream,
    whatever the header promises; one frame is decoded.

    Args:
        path: the file.
        choice: `largest` (or `auto`), or the index of a stream (`data.stream`).

    Raises:
        Unreadable: damaged, no video, no frames; says which.
    """
    import av

    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            stream = choose(container, choice)
            return _describe(container, stream)
    except av.error.FFmpegError as error:
        raise Unreadable(f"not a readable video ({cause(error)}): truncated, damaged or another format") from None


def cause(error: Any) -> str:
    """FFmpeg's own words for an error, without the path."""
    return str(getattr(error, "strerror", "") or error).strip().rstrip(".").lower()


def choose(container: Any, choice: str | int) -> Any:
    """The video stream of an open file by the stated rule.

    Raises:
        Unreadable: it has none, or not the one asked for.
    """
    import av

    cover = av.stream.Disposition.attached_pic
    videos = [s for s in container.streams.video if not s.disposition & cover]
    if not videos:
        covers = {s.index for s in container.streams.video}
        kinds = Counter("cover picture" if s.index in covers else s.type for s in container.streams)
        there = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "nothing"
        raise Unreadable(f"it has no video stream (there is {there})")
    if choice in ("auto", "largest"):
        return max(videos, key=lambda s: (s.width * s.height, s.frames or 0, -s.index))
    found = next((s for s in videos if s.index == choice), None)
    if found is None:
        there = ", ".join(f"{s.index} ({s.width}x{s.height})" for s in videos)
        raise Unreadable(f"it has no video stream {choice}: set data.stream to one of {there}, or to largest")
    return found


def _describe(container: Any, stream: Any) -> Header:
    times = sorted(_times(container, stream))
    if not times:
        raise Unreadable("its video stream holds no frame")
    if len(times) < _LEAST:
        raise Unreadable("its video stream holds one frame: a picture, not a video")
    steps = [b - a for a, b in itertools.pairwise(times)]
    usual = sorted(steps)[len(steps) // 2]
    if times[-1] <= times[0] or usual <= 0:
        raise Unreadable("its frames have no times")
    promised = stream.frames or 0
    if promised > len(times) * (1 + _MISSING) + 1:
        raise Unreadable(f"truncated: {len(times)} of {promised} frames are there")
    lasting = _tagged_seconds(stream)
    if lasting * (1 - _MISSING) > times[-1] + 2 * max(steps):
        raise Unreadable(f"truncated: {times[-1] + usual:.1f} of {lasting:.1f} s are there")
    frame = _first_frame(container, stream)
    aspect = stream.sample_aspect_ratio
    best = container.streams.best("video")
    rate = len(steps) / (times[-1] - times[0])
    return Header(
        stream=stream.index,
        streams=len(container.streams.video),
        start=times[0],
        duration=times[-1] - times[0] + usual,
        frames=len(times),
        fps=rate,
        variable=any(abs(step - usual) > _UNEVEN * usual for step in steps),
        height=frame.height,
        width=frame.width,
        aspect=float(aspect) if aspect else 1.0,
        rotation=-round(frame.rotation / 90) * 90 % 360,
        codec=str(stream.codec_context.codec.canonical_name),
        pixels=str(frame.format.name),
        usual=best is not None and best.index == stream.index,
    )


def _tagged_seconds(stream: Any) -> float:
    """How long Matroska and WebM say a stream lasts (their tag DURATION, `00:01:02.500`), or 0."""
    found = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", "").strip())
    return 0.0 if found is None else 3600 * int(found[1]) + 60 * int(found[2]) + float(found[3])


def _times(container: Any, stream: Any) -> list[float]:
    """Presentation times of all frames in s, from packets; decoding times where a format stores no others."""
    shown: list[int | None] = []
    decoded: list[int | None] = []
    for packet in container.demux(stream):
        if packet.size:
            shown.append(packet.pts)
            decoded.append(packet.dts)
    times = shown if None not in shown else decoded
    if None not in times:
        return [float(t * stream.time_base) for t in times if t is not None]
    rate = stream.average_rate or stream.guessed_rate
    if not rate:
        raise Unreadable("neither its frames nor its header say a frame rate: put it into a container such as MP4")
    return [float(number / rate) for number in range(len(times))]


def _first_frame(container: Any, stream: Any) -> Any:
    container.seek(0)
    frame = next(iter(container.decode(stream)), None)
    if frame is None:
        raise Unreadable("no frame of it can be decoded")
    return frame
