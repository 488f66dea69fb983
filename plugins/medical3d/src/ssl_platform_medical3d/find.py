"""What under a folder may be a volume: files, and the folders that are one (Zarr stores, DICOM series)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ssl_platform_medical3d.readers import SUFFIXES, is_dicom

_DICOM_SUFFIXES = (".dcm", ".ima", ".dicom")
_FILE_SUFFIXES = tuple(suffix for suffix in SUFFIXES if suffix not in (*_DICOM_SUFFIXES, ".zarr"))


def find(root: Path) -> Iterator[Path]:
    """Candidates under `root`, sorted: volume files, Zarr stores, and each folder that holds DICOM files.

    A folder's DICOM files are one candidate together. A file named outright is a candidate whatever its ending.
    """
    if root.is_file() or root.name.lower().endswith(".zarr"):
        yield root
        return
    for place, folders, names in os.walk(root):
        folder = Path(place)
        files = sorted(name for name in names if not name.startswith("."))
        if any(is_slice(folder, name) for name in files):
            yield folder
        for name in files:
            if name.lower().endswith(_FILE_SUFFIXES):
                yield folder / name
        stores = sorted(name for name in folders if name.lower().endswith(".zarr"))
        yield from (folder / name for name in stores)
        folders[:] = sorted(name for name in folders if name not in stores and not name.startswith("."))


def is_slice(folder: Path, name: str) -> bool:
    """Whether a file is DICOM: by its ending, or by its content where its name says nothing."""
    ending = os.path.splitext(name)[1].lower()  # noqa: PTH122 - once a file of large archives
    if ending in _DICOM_SUFFIXES:
        return True
    return (ending == "" or ending[1:].isdigit()) and name.upper() != "DICOMDIR" and is_dicom(folder / name)
