"""ScanObjectNN: clouds and labels of each part in one HDF5 file; the hardest variant, PB_T50_RS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ssl_platform_datasets.adapters.arrays import labels_of

PARTS = {"training": "train", "test": "test"}
CLASSES = (
    "bag",
    "bin",
    "box",
    "cabinet",
    "chair",
    "desk",
    "display",
    "door",
    "shelf",
    "table",
    "bed",
    "pillow",
    "sink",
    "sofa",
    "toilet",
)


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """A row for each cloud; y points up.

    Raises:
        DataError: a file is missing or damaged, or h5py is not installed.
    """
    for part, split in PARTS.items():
        name = f"main_split/{part}_objectdataset_augmentedrot_scale75.h5"
        for number, label in enumerate(labels_of(Path(folder) / name, "label", len(CLASSES))):
            yield {"path": f"{name}#{number:04d}", "label": CLASSES[label], "split": split, "up": "y"}
