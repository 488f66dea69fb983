"""NRRD, attached or with a detached header, through SimpleITK.

`space directions` and `space origin` place the voxels; where only `spacings` is given the orientation is unknown and
taken as ITK does (noted); with neither, the file is like a plain array and needs `data.spacing`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_medical3d.readers import itk
from ssl_platform_medical3d.readers.header import Header, reading

SUFFIXES = (".nrrd", ".nhdr")
_IO = "NrrdImageIO"
_KNOWN_SPACES = ("left-posterior-superior", "lps", "right-anterior-superior", "ras", "left-anterior-superior", "las")


def _fields(path: Path) -> dict[str, str]:
    """Field lines of the header, lower-case names."""
    with reading("NRRD"):
        with path.open("rb") as file:
            head = file.read(65536)
        if head and not head.startswith(b"NRRD"):
            raise Unreadable("not a NRRD file (its first bytes are not NRRD)")
        text = head.replace(b"\r\n", b"\n").split(b"\n\n", 1)[0].decode("latin-1")
    pairs = (line.split(":", 1) for line in text.splitlines()[1:] if ":" in line and not line.startswith("#"))
    return {name.strip().lower(): value.strip(" =") for name, value in pairs}


def read_headers(path: Path) -> list[Header]:
    """The volume in one file.

    Raises:
        Unreadable: not NRRD, empty, 2-D or placed by a damaged affine.
    """
    fields = _fields(path)
    notes: tuple[str, ...] = ()
    space = fields.get("space", "").lower()
    if "space directions" not in fields:
        notes = ("no space directions: orientation unknown, taken as LPS",)
    elif space not in _KNOWN_SPACES:
        notes = (f"space {space or 'is not named'}: taken as LPS",)
    spaced = "space directions" in fields or "spacings" in fields
    data_file = fields.get("data file") or fields.get("datafile") or ""
    if " " in data_file:
        raise Unreadable("its voxels lie in several files: join them (unu save)")
    return [itk.read_header(path, _IO, "NRRD", data_file=data_file, spaced=spaced, notes=notes)]


def read_voxels(header: Header, frame: int | None = None) -> np.ndarray:
    """Values `[F, i, j, k]`; F is 1 where a `frame` is asked for.

    Raises:
        Unreadable: the data is truncated or damaged.
    """
    return itk.read_voxels(header, _IO, frame)


def write(path: Path, volume: np.ndarray, affine: np.ndarray) -> Path:
    """Write `[i, j, k]` with a RAS+ `affine` as a compressed NRRD."""
    return itk.write(path, volume, affine, _IO)
