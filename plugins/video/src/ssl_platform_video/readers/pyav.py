"""PyAV: always there, reads every file. Seeks to the key frame before the clip and decodes on from it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_video.header import cause
from ssl_platform_video.readers import SOON, Clip


def serves(clip: Clip) -> str | None:
    """None: it reads everything."""
    del clip
    return None


def read(clip: Clip) -> np.ndarray:
    """The stored frames shown at the clip's times: `[n, h, w, 3]` uint8 RGB. The file is closed again.

    Raises:
        Unreadable: damaged content, or the file is no longer what it was.
    """
    import av

    try:
        with av.open(clip.path, metadata_errors="ignore") as container:
            if clip.stream >= len(container.streams) or container.streams[clip.stream].type != "video":
                raise Unreadable(f"it no longer has video stream {clip.stream}: scan the data again")
            stream: Any = container.streams[clip.stream]
            stream.codec_context.thread_count = 1  # worker processes are what runs side by side
            wanted = clip.times + clip.start + SOON
            frames = None if wanted[0] <= clip.start + 2 * SOON else _from_key_frame(container, stream, clip, wanted)
            if frames is None:  # from the beginning: the clip starts there, or the file's index misleads
                container.seek(0)
                frames = _shown(container, stream, clip, wanted, anyway=True)
    except av.error.FileNotFoundError:
        raise Unreadable("no such file: it is gone since the scan") from None
    except av.error.FFmpegError as error:
        raise Unreadable(f"its content cannot be decoded ({cause(error)}): truncated or damaged") from None
    if frames is None:
        raise Unreadable("no frame of it can be decoded: truncated or damaged")
    return frames


def _from_key_frame(container: Any, stream: Any, clip: Clip, wanted: np.ndarray) -> np.ndarray | None:
    container.seek(int(wanted[0] / stream.time_base), stream=stream, backward=True)
    return _shown(container, stream, clip, wanted)


def _shown(container: Any, stream: Any, clip: Clip, wanted: np.ndarray, anyway: bool = False) -> np.ndarray | None:
    """Of each time the last frame that began by then; None where decoding began too late (`anyway`: never)."""
    height, width = clip.size
    out = np.empty((len(wanted), height, width, 3), np.uint8)
    done, last, picture = 0, None, None
    for frame in container.decode(stream):
        time = frame.time
        if time is None:
            continue
        if last is None and time > wanted[0] and not anyway:
            return None
        while done < len(wanted) and last is not None and wanted[done] < time:
            picture = _picture(last, height, width) if picture is None else picture
            out[done] = picture
            done += 1
        if done == len(wanted):
            return out
        last, picture = frame, None
    if last is None:
        return None
    out[done:] = _picture(last, height, width)
    return out


def _picture(frame: Any, height: int, width: int) -> np.ndarray:
    scaled = frame.reformat(width=width, height=height, format="rgb24", interpolation="BILINEAR", threads=1)
    return np.asarray(scaled.to_ndarray())
