"""One module a format; `reader_of` finds the one for a path.

A reader module has `SUFFIXES`, `read_headers(path) -> list[Header]` and `read_voxels(header, frame) -> [F, i, j, k]`.
Modules import their libraries when a file is read.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from ssl_platform.errors import Unreadable

_MODULE_OF_SUFFIX = {
    ".nii.gz": "nifti",
    ".nii": "nifti",
    ".nrrd": "nrrd",
    ".nhdr": "nrrd",
    ".mha": "metaimage",
    ".mhd": "metaimage",
    ".npy": "array",
    ".npz": "array",
    ".zarr": "array",
    ".dcm": "dicom",
    ".ima": "dicom",
    ".dicom": "dicom",
}
SUFFIXES = tuple(_MODULE_OF_SUFFIX)


def format_module(path: Path) -> str | None:
    """Name of the reader module for a file name, `dicom` for a folder that is no Zarr store, or None."""
    name = path.name.lower()
    for suffix, module in _MODULE_OF_SUFFIX.items():
        if name.endswith(suffix):
            return module
    if path.is_dir() or is_dicom(path):
        return "dicom"
    return None


def is_dicom(path: Path) -> bool:
    """Whether a file without a known ending starts as DICOM files do (`DICM` after 128 bytes)."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def reader_of(path: Path) -> ModuleType:
    """The reader module for a path.

    Raises:
        Unreadable: no format known here.
    """
    module = format_module(path)
    if module is None:
        raise Unreadable(f"not a volume format ({', '.join(SUFFIXES)} and DICOM are)")
    return importlib.import_module(f"ssl_platform_medical3d.readers.{module}")


def stem(path: Path) -> str:
    """File name without its ending (`.nii.gz` counts as one)."""
    name = path.name
    for suffix in _MODULE_OF_SUFFIX:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name
