"""Doctor checks: each does what a run would do, in a temporary folder, and says what worked in one line."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from ssl_platform.errors import ConfigError
from ssl_platform_video.encode import codec_for, write_video
from ssl_platform_video.readers import prove


def pyav() -> str:
    """Frames written are the frames read."""
    return prove("pyav")


def decord() -> str:
    """Decord decodes a frame; without it PyAV reads."""
    return _optional("decord")


def torchcodec() -> str:
    """Torchcodec decodes a frame; without it PyAV reads."""
    return _optional("torchcodec")


def containers() -> str:
    """What this FFmpeg writes copies and sample clips with."""
    frames = [np.full((32, 32, 3), 40 * i, np.uint8) for i in range(4)]
    written = []
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".mp4", ".mkv", ".webm", ".avi"):
            write_video(Path(folder, f"x{suffix}"), frames, 8)
            written.append(f"{suffix[1:]} ({codec_for(suffix)})")
    return f"writes {', '.join(written)}"


def pytorchvideo() -> str:
    """A small X3D of pytorchvideo runs."""
    import torch

    from ssl_platform_video.backbones import pytorchvideo_backbone
    from ssl_platform_video.domain import Video

    channels = ("red", "green", "blue")
    net = pytorchvideo_backbone(Video.layout, channels, (4, 32, 32), (2, 16, 16), model="x3d_xs")
    (maps, *_) = [net.maps(torch.zeros(2, 3, 4, 32, 32))]
    return f"X3D gives {len(maps)} maps, the last of {maps[-1].shape[1]} channels"


def _optional(decoder: str) -> str:
    try:
        return prove(decoder)
    except ConfigError as error:
        return f"not usable, PyAV reads instead: {error}"
