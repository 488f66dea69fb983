"""DAVIS 2017, trainval: `JPEGImages/480p/SEQUENCE/`, `Annotations/480p/SEQUENCE/`, lists in `ImageSets/2017/`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ssl_platform_datasets.adapters.lists import lines_of

FRAME_RATE = "24"
_PARTS = {"train": "train", "val": "test"}


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """A row for each sequence. What the field reports on, the list `val`, is the test part; nothing is tuned on it.

    Raises:
        DataError: a list is missing.
    """
    for published, split in _PARTS.items():
        path = Path(folder) / "ImageSets" / "2017" / f"{published}.txt"
        for sequence in lines_of(path, "give the folder DAVIS that the archive unpacks to"):
            yield {
                "path": f"JPEGImages/480p/{sequence}",
                "mask": f"Annotations/480p/{sequence}",
                "id": sequence,
                "split": split,
                "frame_rate": FRAME_RATE,
            }
