"""Torchcodec: frames by time. It imports without FFmpeg's libraries and fails at the first frame, hence `prove`."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from ssl_platform_video.readers import SOON, Clip


def serves(clip: Clip) -> str | None:
    """Why it would read other frames than PyAV: releases differ in whether they turn rotated videos."""
    return "it may turn rotated videos itself" if clip.rotation else None


def read(clip: Clip) -> np.ndarray:
    """The frames shown at the clip's times: `[n, h, w, 3]` uint8 RGB."""
    decoders: Any = importlib.import_module("torchcodec.decoders")
    video = decoders.VideoDecoder(clip.path, stream_index=clip.stream, num_ffmpeg_threads=1, dimension_order="NHWC")
    facts = video.metadata
    begin, end = float(facts.begin_stream_seconds or 0.0), float(facts.end_stream_seconds)
    wanted = np.minimum(clip.times + SOON + begin, end - SOON)
    frames = video.get_frames_played_at(wanted.tolist()).data.numpy()
    if frames.shape[1:3] == clip.size:
        return np.asarray(frames)
    return np.stack([_scaled(frame, clip.size) for frame in frames])


def _scaled(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    import av

    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    return np.asarray(picture.reformat(width=size[1], height=size[0], interpolation="BILINEAR").to_ndarray())
