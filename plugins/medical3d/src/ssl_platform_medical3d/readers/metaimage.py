"""MetaImage (.mha, .mhd with its raw file) through SimpleITK.

`TransformMatrix`, `Offset` and `ElementSpacing` place the voxels in LPS+ millimetres.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_medical3d.readers import itk
from ssl_platform_medical3d.readers.header import Header, reading

SUFFIXES = (".mha", ".mhd")
_IO = "MetaImageIO"
_SPACING_KEYS = ("ElementSpacing", "ElementSize")


def read_headers(path: Path) -> list[Header]:
    """The volume in one file.

    Raises:
        Unreadable: not MetaImage, empty, 2-D or placed by a damaged affine.
    """
    with reading("MetaImage"), path.open("rb") as file:
        lines = file.read(16384).split(b"\n")
    fields: dict[str, str] = {}
    for line in lines:
        name, equals, value = line.decode("latin-1").partition("=")
        if not equals:
            break
        fields[name.strip()] = value.strip()
        if name.strip() == "ElementDataFile":  # the header's last field: voxels may follow
            break
    data_file = fields.get("ElementDataFile", "")
    if data_file.startswith("LIST") or "%" in data_file:
        raise Unreadable("its voxels lie in several files: save it as .mha")
    return [
        itk.read_header(
            path,
            _IO,
            "MetaImage",
            data_file="" if data_file == "LOCAL" else data_file,
            spaced=any(key in fields for key in _SPACING_KEYS),
            notes=() if "TransformMatrix" in fields else ("no TransformMatrix: orientation unknown, taken as LPS",),
        )
    ]


def read_voxels(header: Header, frame: int | None = None) -> np.ndarray:
    """Values `[F, i, j, k]`; F is 1 where a `frame` is asked for.

    Raises:
        Unreadable: the data is truncated or damaged.
    """
    return itk.read_voxels(header, _IO, frame)


def write(path: Path, volume: np.ndarray, affine: np.ndarray) -> Path:
    """Write `[i, j, k]` with a RAS+ `affine` as a compressed MetaImage."""
    return itk.write(path, volume, affine, _IO)
