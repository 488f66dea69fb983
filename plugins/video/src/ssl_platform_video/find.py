"""What under a folder may be a video: files, and folders of numbered pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ssl_platform_video.readers.frames import is_frame

SUFFIXES = (
    ".mp4",
    ".m4v",
    ".mov",
    ".webm",
    ".mkv",
    ".avi",
    ".mpg",
    ".mpeg",
    ".wmv",
    ".flv",
    ".ts",
    ".m2ts",
    ".3gp",
    ".ogv",
)


def find(root: Path) -> Iterator[Path]:
    """Candidates under `root`, sorted: video files, and each folder with two or more numbered pictures.

    A file named outright is a candidate whatever its ending. A file name that starts with `.` or is a download in
    progress (`.part`) is none.
    """
    if root.is_file():
        yield root
        return
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        folder = Path(place)
        if sum(map(is_frame, names)) >= 2:
            yield folder
        for name in sorted(names):
            if not name.startswith(".") and name.lower().endswith(SUFFIXES):
                yield folder / name
