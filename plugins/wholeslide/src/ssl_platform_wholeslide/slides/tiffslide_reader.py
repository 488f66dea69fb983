"""Slides through tiffslide: OME-TIFF with its pyramid, plain and striped TIFF, and what OpenSlide does not open."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_wholeslide.slides.scale import ome_scale, power_of, stated, tiles_of
from ssl_platform_wholeslide.slides.slide import Header, Region, Slide


class TiffSlideReader(Slide):
    """A slide opened by tiffslide.

    Args:
        path: the file.

    Raises:
        Unreadable: tiffslide does not open it.
    """

    def __init__(self, path: Path) -> None:
        import tiffslide

        self.path = path
        try:
            self._slide = tiffslide.TiffSlide(path)
            properties, xml = self._slide.properties, self._slide.ts_tifffile.ome_metadata
        except Exception as error:  # tifffile raises many kinds on damaged files
            raise Unreadable(f"tiffslide: {_line(error)}") from None
        mpp, note = stated(properties, "tiffslide")
        if xml:
            mpp, note = ome_scale(xml)
        self.header = Header(
            vendor=str(properties.get("tiffslide.vendor") or ("ome-tiff" if xml else "tiff")),
            levels=tuple((height, width) for width, height in self._slide.level_dimensions),
            downsamples=tuple(float(d) for d in self._slide.level_downsamples),
            mpp=mpp,
            power=power_of(properties, "tiffslide"),
            tiles=tiles_of(properties, "tiffslide", self._slide.level_count),
            note=note,
        )

    def read(self, level: int, top: int, left: int, height: int, width: int) -> Region:
        """See `Slide.read`."""
        step = self.header.downsamples[level]
        corner = (round(left * step), round(top * step))
        try:
            pixels = self._slide.read_region(corner, level, (width, height), as_array=True)
        except Exception as error:  # codecs raise many kinds on damaged tiles
            raise Unreadable(f"level {level}, row {top}, column {left} cannot be decoded: {_line(error)}") from None
        return Region(np.ascontiguousarray(pixels[..., :3]))

    def close(self) -> None:
        """Give back the file handle."""
        self._slide.close()


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
