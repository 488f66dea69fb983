"""Doctor checks: each does what a run would do, in a temporary folder, and says what worked in one line."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from ssl_platform.types import Window
from ssl_platform_wholeslide.domain import WholeSlide
from ssl_platform_wholeslide.options import WholeSlideOptions
from ssl_platform_wholeslide.testing import tissue_picture, write_dicom, write_ome
from ssl_platform_wholeslide.writing import write_tiff

_JPEG = 12.0  # grey levels that compression may change on average


def _read(path: Path, picture: np.ndarray) -> str:
    domain = WholeSlide(WholeSlideOptions(mpp=0.5, tissue="none"))
    row = domain.fit(next(iter(domain.scan(path))))
    part = domain.read(row, Window((64, 64), (64, 64)))["main"]
    apart = np.abs(part.data.transpose(1, 2, 0).astype(float) - picture[64:128, 64:128]).mean()
    if apart > _JPEG:
        raise RuntimeError(f"{path.name} was read differently from what was written")
    size = f"{row.shape[0]}x{row.shape[1]} at {row.spacing[0]:g} um"
    return f"{row.meta['format']} read back through {row.meta['reader']}, {size}"


def openslide() -> str:
    """A pyramidal TIFF through OpenSlide."""
    picture = tissue_picture(256, 320)
    with tempfile.TemporaryDirectory() as folder:
        return _read(write_tiff(Path(folder, "x.tif"), picture, 0.5), picture)


def tiffslide() -> str:
    """An OME-TIFF through tiffslide."""
    picture = tissue_picture(256, 320)
    with tempfile.TemporaryDirectory() as folder:
        return _read(write_ome(Path(folder, "x.ome.tif"), picture, 0.5), picture)


def dicom() -> str:
    """A DICOM slide, one file a level."""
    picture = tissue_picture(256, 320)
    with tempfile.TemporaryDirectory() as folder:
        return _read(write_dicom(Path(folder, "x"), picture, 0.5), picture)
