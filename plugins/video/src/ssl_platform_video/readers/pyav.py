"""PyAV: always there, reads every file. Decodes from the key frame before a clip, and on the way only what it must."""

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

    wanted = clip.times + clip.start + SOON
    try:
        with av.open(clip.path, metadata_errors="ignore") as container:
            frames = _from_key_frame(container, _stream(container, clip), clip, wanted)
        if frames is None:  # the file's index misleads, or its packets have no times: all frames from the beginning
            with av.open(clip.path, metadata_errors="ignore") as container:
                frames = _from_start(container, _stream(container, clip), clip, wanted)
    except av.error.FileNotFoundError:
        raise Unreadable("no such file: it is gone since the scan") from None
    except av.error.FFmpegError as error:
        raise Unreadable(f"its content cannot be decoded ({cause(error)}): truncated or damaged") from None
    return frames


def _stream(container: Any, clip: Clip) -> Any:
    if clip.stream >= len(container.streams) or container.streams[clip.stream].type != "video":
        raise Unreadable(f"it no longer has video stream {clip.stream}: scan the data again")
    stream = container.streams[clip.stream]
    stream.codec_context.thread_count = 1  # worker processes are what runs side by side
    return stream


def _from_key_frame(container: Any, stream: Any, clip: Clip, wanted: np.ndarray) -> np.ndarray | None:
    """The frames, decoded from the key frame before the first; None where packets do not tell which they are.

    Packets say when their frames are shown, so it is known beforehand which are wanted. Frames that are not, and that
    no other frame is predicted from (most B frames), are not decoded.
    """
    container.seek(int(wanted[0] / stream.time_base), stream=stream, backward=True)
    packets = []
    for packet in container.demux(stream):
        if packet.size == 0:
            break
        if packet.pts is None or packet.dts is None:
            return None
        if packet.dts * stream.time_base > wanted[-1]:  # all that is shown by then came before
            break
        packets.append(packet)
    begins = np.array(sorted(packet.pts for packet in packets))
    shown = np.searchsorted(begins * float(stream.time_base), wanted, side="right") - 1
    if not len(begins) or (shown[0] < 0 and wanted[0] > clip.start + 2 * SOON):
        return None
    numbers = begins[shown.clip(0)].tolist()
    pictures = _decoded(stream.codec_context, packets, set(numbers), clip.size)
    return None if pictures is None else np.stack([pictures[number] for number in numbers])


def _decoded(context: Any, packets: list[Any], needed: set[int], size: tuple[int, int]) -> dict[int, np.ndarray] | None:
    """Pictures by time stamp; None where the decoder gives other time stamps than the packets have."""
    pictures: dict[int, np.ndarray] = {}
    for packet in [*packets, None]:
        if packet is not None:
            context.skip_frame = "DEFAULT" if packet.pts in needed else "NONREF"
        for frame in context.decode(packet):
            if frame.pts in needed:
                pictures[frame.pts] = _picture(frame, size)
        if len(pictures) == len(needed):
            return pictures
    return None


def _from_start(container: Any, stream: Any, clip: Clip, wanted: np.ndarray) -> np.ndarray:
    """Of each time the last frame that began by then, decoding all frames of the file up to the last of them.

    Raises:
        Unreadable: there is no frame.
    """
    out = np.empty((len(wanted), *clip.size, 3), np.uint8)
    done, last = 0, None
    for frame in container.decode(stream):
        if frame.time is None:
            continue
        if last is not None:
            ended = int(np.searchsorted(wanted, frame.time, side="left"))
            if ended > done:
                out[done:ended] = _picture(last, clip.size)
                done = ended
            if done == len(wanted):
                return out
        last = frame
    if last is None:
        raise Unreadable("no frame of it can be decoded: truncated or damaged")
    out[done:] = _picture(last, clip.size)
    return out


def _picture(frame: Any, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    scaled = frame.reformat(width=width, height=height, format="rgb24", interpolation="BILINEAR", threads=1)
    return np.asarray(scaled.to_ndarray())
