"""What every reader tells of a slide and reads from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Header:
    """A slide before its pixels are read.

    Attributes:
        vendor: of the format, as the reader names it.
        levels: `(height, width)` of each level of the pyramid, finest first.
        downsamples: of each level against the first.
        mpp: microns a pixel of the first level along y and x, or None where the file stores none that can be true.
        power: objective power, or None.
        tiles: `(height, width)` of the tiles each level is stored in, `(0, 0)` where unknown.
        note: what a user may want to know, such as why a stored mpp is not believed; empty when nothing.
    """

    vendor: str
    levels: tuple[tuple[int, int], ...]
    downsamples: tuple[float, ...]
    mpp: tuple[float, float] | None = None
    power: float | None = None
    tiles: tuple[tuple[int, int], ...] = ()
    note: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the finest level."""
        return self.levels[0]


@dataclass(frozen=True)
class Region:
    """A box of pixels of one level.

    Attributes:
        pixels: `[h, w, 3]` uint8 red, green, blue; a fourth number, as OpenSlide gives it, says nothing.
        present: `[h, w]` bool, False where the scanner stored nothing; None when all is there.
    """

    pixels: np.ndarray
    present: np.ndarray | None = None

    @property
    def rgb(self) -> np.ndarray:
        """`[h, w, 3]` uint8."""
        return self.pixels[..., :3]

    def whitened(self) -> Region:
        """The region with glass where nothing was scanned."""
        if self.present is None:
            return self
        return Region(np.where(self.present[..., None], self.pixels, np.uint8(255)), self.present)

    def image(self) -> Image:
        """A Pillow image of three or four channels, without a copy where the pixels lie in one piece."""
        from PIL import Image

        pixels = np.ascontiguousarray(self.pixels)
        mode = "RGB" if pixels.shape[2] == 3 else "RGBX"
        return Image.frombuffer(mode, pixels.shape[1::-1], pixels, "raw", mode, 0, 1)


class Slide:
    """An open slide.

    Attributes:
        path: the file.
        header: its levels and scale.
    """

    path: Path
    header: Header

    def read(self, level: int, top: int, left: int, height: int, width: int) -> Region:
        """Pixels of a box that lies within the level.

        Args:
            level: of the pyramid.
            top, left: first row and column, in pixels of that level.
            height, width: in pixels of that level.

        Raises:
            Unreadable: the pixels cannot be decoded; the slide is of no further use then.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Give back the file handle."""
        raise NotImplementedError
