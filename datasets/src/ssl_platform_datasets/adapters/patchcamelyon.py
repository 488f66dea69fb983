"""PatchCamelyon: patches and labels of each part in two HDF5 files, as published (gunzipped)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ssl_platform.errors import DataError
from ssl_platform_datasets.adapters.arrays import labels_of
from ssl_platform_datasets.adapters.lists import table_of

PARTS = {"train": "train", "valid": "val", "test": "test"}
CLASSES = ("normal", "tumour")
MPP = "0.972"
"""Microns a pixel: level 2, a quarter of CAMELYON16's 0.243; the files store none."""


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """A row for each patch; its slide is its group where the published `.._meta.csv` lies beside it.

    Raises:
        DataError: a file is missing or damaged, or h5py is not installed.
    """
    folder = Path(folder)
    for part, split in PARTS.items():
        stem = f"camelyonpatch_level_2_split_{part}"
        labels = labels_of(folder / f"{stem}_y.h5", "y", len(CLASSES))
        slides = _slides(folder / f"{stem}_meta.csv", len(labels))
        for number, label in enumerate(labels):
            row = {"path": f"{stem}_x.h5#{number:06d}", "label": CLASSES[label], "split": split, "mpp": MPP}
            yield {**row, "group": slides[number]} if slides else row


def _slides(path: Path, count: int) -> list[str]:
    """The slide of every patch, or nothing where the table was not downloaded.

    Raises:
        DataError: it is of another number of patches.
    """
    if not path.exists():
        return []
    slides = [row["wsi"] for row in table_of(path, ["wsi"])]
    if len(slides) != count:
        raise DataError(f"{path}: has {len(slides):,} rows for {count:,} patches; download it again")
    return slides
