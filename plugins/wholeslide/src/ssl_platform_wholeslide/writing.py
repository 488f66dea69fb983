"""Writing slides: pyramidal, tiled, JPEG-compressed TIFF with its scale in the resolution tags, as scanners export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

_TILE = 256
_CENTIMETRE = 10_000.0  # microns


def write_tiff(
    path: Path,
    rgb: np.ndarray,
    mpp: float | None,
    steps: Sequence[int] = (1, 2, 4),
    *,
    description: str | None = None,
    quality: int = 90,
    tile: int = _TILE,
) -> Path:
    """Write a slide.

    Args:
        path: the file.
        rgb: `[h, w, 3]` uint8, the finest level.
        mpp: microns a pixel, for the resolution tags; None leaves them out.
        steps: of the levels against the finest; the first is 1.
        description: of the first page, by which scanners' formats are told (Aperio's makes it an SVS).
        quality: of the JPEG compression.
        tile: side of a tile.
    """
    import tifffile

    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path) as file:
        for number, step in enumerate(steps):
            scale = None if mpp is None else _CENTIMETRE / (mpp * step)
            file.write(
                reduced(rgb, step),
                tile=(tile, tile),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": quality},
                subfiletype=1 if number else 0,
                resolution=None if scale is None else (scale, scale),
                resolutionunit=None if scale is None else "CENTIMETER",
                description=description,
                metadata=None,
            )
    return path


def reduced(rgb: np.ndarray, step: int) -> np.ndarray:
    """`[h // step, w // step, 3]`: means of squares of pixels."""
    if step == 1:
        return rgb
    from PIL import Image

    return np.asarray(Image.fromarray(rgb).reduce(step))[: rgb.shape[0] // step, : rgb.shape[1] // step]
