"""Decord: frames by number, so times become numbers through its own table of them."""

from __future__ import annotations

import numpy as np

from ssl_platform_video.readers import SOON, Clip

_PLAIN = ("yuv420p", "yuvj420p")


def serves(clip: Clip) -> str | None:
    """Why it would read other frames than PyAV: what it turns, converts or chooses wrongly."""
    if clip.rotation:
        return "it gives empty frames for rotated videos"
    if not clip.usual:
        return "it cannot be told which stream to read"
    if clip.pixels not in _PLAIN:
        return f"it converts {clip.pixels} wrongly"
    return None


def read(clip: Clip) -> np.ndarray:
    """The frames shown at the clip's times: `[n, h, w, 3]` uint8 RGB."""
    import av  # noqa: F401 - first: decord's own libvpx, loaded before, takes the place of the one PyAV encodes with
    import decord

    height, width = clip.size
    video = decord.VideoReader(clip.path, width=width, height=height, num_threads=1)
    begins = np.asarray(video.get_frame_timestamp(range(len(video))), dtype=np.float64)[:, 0]
    number = np.searchsorted(begins - begins[0], clip.times + SOON, side="right") - 1
    chosen, back = np.unique(number.clip(0, len(video) - 1), return_inverse=True)
    frames = video.get_batch(chosen.tolist()).asnumpy()
    return np.asarray(frames[back])
