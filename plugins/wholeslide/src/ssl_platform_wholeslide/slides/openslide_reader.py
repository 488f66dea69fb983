"""Slides through OpenSlide: SVS, NDPI, MRXS, SCN, VMS, BIF, pyramidal TIFF and DICOM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_wholeslide.slides.scale import power_of, stated, tiles_of
from ssl_platform_wholeslide.slides.slide import Header, Region, Slide

_OPAQUE = 0xFF000000


class OpenSlideReader(Slide):
    """A slide opened by OpenSlide.

    Args:
        path: the file.
        cache: an `openslide.OpenSlideCache` of decoded tiles that slides share, or None for one of its own.

    Raises:
        Unreadable: OpenSlide does not open it.
    """

    def __init__(self, path: Path, cache: Any = None) -> None:
        import openslide

        self.path = path
        try:
            self._slide = openslide.OpenSlide(str(path))
        except openslide.OpenSlideUnsupportedFormatError:
            raise Unreadable("no format OpenSlide knows") from None
        except openslide.OpenSlideError as error:
            raise Unreadable(f"OpenSlide: {error}") from None
        if cache is not None:
            self._slide.set_cache(cache)
        properties = self._slide.properties
        mpp, note = stated(properties, "openslide")
        self.header = Header(
            vendor=str(properties.get("openslide.vendor", "unknown")),
            levels=tuple((height, width) for width, height in self._slide.level_dimensions),
            downsamples=tuple(float(d) for d in self._slide.level_downsamples),
            mpp=mpp,
            power=power_of(properties, "openslide"),
            tiles=tiles_of(properties, "openslide", self._slide.level_count),
            note=note,
        )

    def read(self, level: int, top: int, left: int, height: int, width: int) -> Region:
        """See `Slide.read`. OpenSlide takes the corner in pixels of the finest level."""
        import openslide

        step = self.header.downsamples[level]
        corner = (round(left * step), round(top * step))
        try:
            pixels = np.asarray(self._slide.read_region(corner, level, (width, height)))
        except openslide.OpenSlideError as error:
            raise Unreadable(f"level {level}, row {top}, column {left} cannot be decoded: {error}") from None
        # all four bytes of a pixel as one number: as large as this only where nothing is transparent
        opaque = pixels.view("<u4").min() >= _OPAQUE
        return Region(pixels, None if opaque else pixels[..., 3] == 255)

    def close(self) -> None:
        """Give back the file handle."""
        self._slide.close()
