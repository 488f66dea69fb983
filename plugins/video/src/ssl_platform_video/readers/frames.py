"""Folders of frames: one picture a frame, in natural order of their names."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_video.header import Header
from ssl_platform_video.readers import SOON, Clip

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm")
Folder = TypeVar("Folder", Path, zipfile.Path)
_NUMBERED = re.compile(r"\d+\.[A-Za-z]+$")
_DIGITS = re.compile(r"(\d+)")


def is_frame(name: str) -> bool:
    """Whether a file name is that of a numbered picture: `00012.jpg`, `frame_3.png`, `img-0007.jpeg`."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".") and _NUMBERED.search(name) is not None


def frames_of(folder: Folder) -> list[Folder]:
    """The numbered pictures of a folder, or of an archive; `frame2` comes before `frame10`."""
    found = [path for path in folder.iterdir() if is_frame(path.name)]
    return sorted(found, key=lambda p: [int(w) if w.isdigit() else w.lower() for w in _DIGITS.split(p.name)])


def read_header(folder: Path, fps: float) -> Header:
    """What the first and the last picture say.

    Args:
        folder: of numbered pictures.
        fps: frames per second, which a folder does not say itself.

    Raises:
        Unreadable: too few pictures, unlike sizes, label masks, or damaged ones.
    """
    files = frames_of(folder)
    if len(files) < 2:
        raise Unreadable(f"a folder of {len(files)} numbered pictures: a video has two or more")
    first, last = (_size(files[at]) for at in (0, -1))
    if first != last:
        raise Unreadable(f"{files[0].name} has {first[1]}x{first[0]} pixels, {files[-1].name} has {last[1]}x{last[0]}")
    return Header(-1, 1, 0.0, len(files) / fps, len(files), fps, False, *first, codec=files[0].suffix[1:].lower())


def read(clip: Clip) -> np.ndarray:
    """The pictures shown at the clip's times: `[n, h, w, 3]` uint8 RGB.

    Raises:
        Unreadable: one is gone or damaged; named.
    """
    files = frames_of(Path(clip.path))
    if not files:
        raise Unreadable("its pictures are gone since the scan")
    number = np.floor((clip.times + SOON) * clip.fps).astype(int).clip(0, len(files) - 1)
    pictures = {at: picture(files[at], clip.size) for at in np.unique(number).tolist()}
    return np.stack([pictures[at] for at in number.tolist()])


def _open(path: Path) -> Any:
    from PIL import Image

    return Image.open(path)


def _size(path: Path) -> tuple[int, int]:
    try:
        with _open(path) as stored:
            if stored.mode == "P":
                raise Unreadable(f"{path.name} is a palette picture: label masks of frames, not frames")
            return int(stored.height), int(stored.width)
    except OSError as error:
        raise Unreadable(f"{path.name} is not a readable picture ({error})") from None


def picture(path: Path, size: tuple[int, int]) -> np.ndarray:
    """One picture scaled to height and width: `[h, w, 3]` uint8 RGB.

    Raises:
        Unreadable: damaged.
    """
    try:
        with _open(path) as stored:
            stored.draft("RGB", (size[1], size[0]))  # a JPEG is decoded at the nearest size that is large enough
            scaled = stored.convert("RGB")
            if (scaled.height, scaled.width) != size:
                scaled = scaled.resize((size[1], size[0]), resample=2)
            return np.asarray(scaled)
    except OSError as error:
        raise Unreadable(f"{path.name} is not a readable picture ({error})") from None
