"""From headers to catalog rows, and from rows to clips.

A row's grid is time by height by width: cell `t` is the frame shown in the middle of its `1 / fps` seconds, so clips
have one rate whatever the rate of the video, even or not. Frames are upright, with square pixels.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform.types import Row, Window
from ssl_platform_video import header
from ssl_platform_video.header import Header
from ssl_platform_video.options import VideoOptions, parse_rate
from ssl_platform_video.readers import Clip, frames, read_clip

CHANNELS = ("red", "green", "blue")
FPS, SHORT_SIDE = 8.0, 64
"""What `auto` means where a set says nothing against it: 16 frames are two seconds; windows of 64 pixels fit."""

_UCF101 = re.compile(r"^(v_\w+_g\d+)_c\d+$")
_KINETICS = re.compile(r"^([\w-]{11})_\d{6}_\d{6}$")


# ---------------------------------------------------------------------------------------------------- headers to rows
def row_of(path: Path, options: VideoOptions) -> Row:
    """The row of a file or a folder of frames, at its own rate and size until `fit`.

    Raises:
        Unreadable: nothing in it can be used.
    """
    if path.is_dir():
        # Where no rate is known yet, one frame a second stands until `fit` finds it in a manifest or refuses.
        found = frames.read_header(path, options.frame_rate or 1.0)
        size = sum(file.stat().st_size for file in frames.frames_of(path))
    else:
        found, size = header.read_header(path, options.stream), path.stat().st_size
    group, rule = group_of(path)
    meta: dict[str, Any] = {**found.as_meta(), "group_rule": rule}
    notes = _notes(found)
    if notes:
        meta["note"] = notes
    return Row(
        id=path.name,
        path=str(path),
        shape=(found.frames, *found.shown),
        spacing=(1 / found.fps, 1.0, 1.0),
        channels=CHANNELS,
        dtype="uint8",
        bytes=size,
        group=group,
        meta=meta,
    )


def _notes(found: Header) -> str:
    """What was decided about a file and is not usual."""
    told = []
    if found.streams > 1:
        told.append(f"read from stream {found.stream}, one of {found.streams} with video")
    if found.variable:
        told.append("variable frame rate")
    if found.rotation:
        told.append(f"turned by {found.rotation} degrees")
    if abs(found.aspect - 1.0) > 1e-3:
        told.append(f"pixels of aspect {found.aspect:.3g} made square")
    return "; ".join(told)


def group_of(path: Path) -> tuple[str | None, str]:
    """What a clip was cut from, and the rule that says so.

    UCF101 (`v_Archery_g07_c02`: all clips of a group come from one video), Kinetics (`<video>_000010_000020`).
    """
    stem = path.name if path.is_dir() else path.stem
    for pattern, rule in ((_UCF101, "UCF101 group"), (_KINETICS, "Kinetics video")):
        found = pattern.match(stem)
        if found:
            return found.group(1), rule
    return None, "file"


# ------------------------------------------------------------------------------------------------------- rows to grids
def fit(row: Row, options: VideoOptions) -> Row:
    """The row in its grid: frames at `data.fps`, the short side at `data.short_side`.

    Raises:
        Unreadable: a folder of frames whose rate nothing says.
    """
    found = Header.of(row.meta)
    if found.folder:
        rate = _told_rate(row, options)
        found = replace(found, fps=rate, duration=found.frames / rate)
    fps = found.fps if options.fps == "native" else FPS if options.fps == "auto" else float(options.fps)
    side = SHORT_SIDE if options.short_side == "auto" else options.short_side
    shown = found.shown
    if side != "native":
        scale = int(side) / min(shown)
        shown = (max(1, round(shown[0] * scale)), max(1, round(shown[1] * scale)))
    steps = max(1, round(found.duration * fps))
    return row.replace(shape=(steps, *shown), spacing=(1 / fps, 1.0, 1.0), meta={**row.meta, **found.as_meta()})


def _told_rate(row: Row, options: VideoOptions) -> float:
    """Frames per second of a folder: its manifest column `fps`, else `data.frame_rate`."""
    told = row.meta.get("frame_rate") or options.frame_rate
    if told is None:
        raise Unreadable(
            "a folder of frames does not say its frame rate: set data.frame_rate=30, or a manifest column 'frame_rate'"
        )
    try:
        return float(parse_rate(told))
    except ValueError as error:
        raise Unreadable(f"manifest column 'frame_rate' is {told!r}: {error}") from None


# ------------------------------------------------------------------------------------------------------- rows to clips
def read_frames(row: Row, first: int, last: int, decoder: str) -> np.ndarray:
    """Cells `first` to `last` along time of a row's grid: `[3, last - first, H, W]` uint8.

    Raises:
        Unreadable: they cannot be decoded.
    """
    source, shown = Header.of(row.meta), row.shape[1:]
    clip = Clip(
        path=row.path,
        times=(np.arange(first, last) + 0.5) * row.spacing[0],
        size=source.stored(shown),
        stream=source.stream,
        start=source.start,
        rotation=source.rotation,
        fps=source.fps,
        pixels=source.pixels,
        usual=source.usual,
    )
    found = read_clip(clip, decoder)
    return np.ascontiguousarray(found.transpose(3, 0, 1, 2))


def inside(row: Row, window: Window) -> tuple[int, int]:
    """First and last cell along time of the part of a window that lies in the item."""
    first = min(max(window.start[0], 0), row.shape[0])
    return first, max(first, min(window.start[0] + window.size[0], row.shape[0]))
