"""One-off copies at training size: small frames, many key frames, no sound, times kept. `prepare` packs them.

Reading a clip costs decoding from the key frame before it, at full size. Web videos have one key frame in 250 frames
and often ten times the pixels that are looked at, so a copy at 256 pixels with a key frame every 16 reads about ten
times faster.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.data.shards.packing import Packed
from ssl_platform.errors import Unreadable
from ssl_platform.types import Row
from ssl_platform_video import items
from ssl_platform_video.annotations import Source
from ssl_platform_video.encode import write_video
from ssl_platform_video.header import Header, cause
from ssl_platform_video.options import VideoOptions
from ssl_platform_video.readers import frames as frame_folders


@dataclass(frozen=True)
class Settings:
    """How copies are made.

    Attributes:
        short_side: pixels of the short side; smaller videos keep theirs.
        gop: frames from one key frame to the next.
        quality: constant rate factor of x264 (lower is better and larger).
    """

    short_side: int = 256
    gop: int = 16
    quality: int = 23

    @classmethod
    def of(cls, options: VideoOptions) -> Settings:
        """Those of the options; no smaller than frames are read at.

        Args:
            options: `copy_side`, `copy_gop`, `copy_quality` and `short_side`.
        """
        read = options.short_side if isinstance(options.short_side, int) else 0
        side = 1 << 14 if options.short_side == "native" else max(options.copy_side, read)
        return cls(side, options.copy_gop, options.copy_quality)


def pack(row: Row, scratch: Path, options: VideoOptions) -> Packed:
    """A copy of an item, and the row it has from now on: its own id, group and content, the copy's header.

    Args:
        row: of the source.
        scratch: folder for the copy.
        options: of the domain.

    Raises:
        Unreadable: the source cannot be decoded to its end.
    """
    settings = Settings.of(options)
    path = scratch / "0.mp4"
    copy_item(row, path, settings)
    copied = items.row_of(path, options.model_copy(update={"stream": "auto"}))
    made = f"short side {settings.short_side}, key frame every {settings.gop}, quality {settings.quality}"
    meta = {**row.meta, **Source.of(row).as_meta(), **Header.of(copied.meta).as_meta(), "copy": made}
    meta.pop("note", None)
    listed = row.replace(shape=copied.shape, spacing=copied.spacing, bytes=copied.bytes, meta=meta)
    return Packed(listed, files={row.path: path})


def copy_item(row: Row, path: Path, settings: Settings) -> int:
    """Write the copy of one item; return its number of frames.

    Raises:
        Unreadable: the source cannot be decoded to its end.
        RunFailed: the copy cannot be encoded or written.
    """
    times: list[float] = []
    pictures = _timed(row, settings, times)
    try:
        write_video(path, pictures, Header.of(row.meta).fps, times=times, gop=settings.gop, quality=settings.quality)
    except Unreadable:
        path.unlink(missing_ok=True)
        raise
    if not times:
        raise Unreadable("no frame of it can be decoded")
    return len(times)


def _timed(row: Row, settings: Settings, times: list[float]) -> Iterator[np.ndarray]:
    """All frames of an item at the size of the copy, upright, with even sides; their times are appended to `times`."""
    source = Header.of(row.meta)
    scale = min(1.0, settings.short_side / min(source.shown))
    size = source.stored(tuple(max(2, 2 * round(n * scale / 2)) for n in source.shown))
    pictures = _folder_frames(row, source, size) if source.folder else _file_frames(row, source, size)
    last = -1.0
    for time, picture in pictures:
        if time <= last:
            continue
        times.append(time)
        last = time
        yield np.rot90(picture, -source.rotation // 90) if source.rotation else picture


def _folder_frames(row: Row, source: Header, size: tuple[int, int]) -> Iterator[tuple[float, np.ndarray]]:
    for number, path in enumerate(frame_folders.frames_of(Path(row.path))):
        yield number / source.fps, frame_folders.picture(path, size)


def _file_frames(row: Row, source: Header, size: tuple[int, int]) -> Iterator[tuple[float, np.ndarray]]:
    import av

    try:
        with av.open(row.path, metadata_errors="ignore") as container:
            stream: Any = container.streams[source.stream]
            stream.codec_context.thread_count = 1
            for frame in container.decode(stream):
                if frame.time is not None:
                    scaled = frame.reformat(size[1], size[0], "rgb24", interpolation="BILINEAR", threads=1)
                    yield max(0.0, frame.time - source.start), scaled.to_ndarray()
    except av.error.FFmpegError as error:
        raise Unreadable(f"its content cannot be decoded ({cause(error)}): truncated or damaged") from None
