"""What every reader tells of a slide and reads from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Header:
    """A slide before its pixels are read.

    Attributes:
        vendor: of the format, as the reader names it.
        levels: `(height, width)` of each level of the pyramid, finest first.
        downsamples: of each level against the first.
        mpp: microns a pixel of the first level along y and x, or None where the file stores none that can be true.
        power: objective power, or None.
        note: what a user may want to know, such as why a stored mpp is not believed; empty when nothing.
    """

    vendor: str
    levels: tuple[tuple[int, int], ...]
    downsamples: tuple[float, ...]
    mpp: tuple[float, float] | None = None
    power: float | None = None
    note: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the finest level."""
        return self.levels[0]


@dataclass(frozen=True)
class Region:
    """A box of pixels of one level.

    Attributes:
        rgb: `[h, w, 3]` uint8.
        present: `[h, w]` bool, False where the scanner stored nothing; None when all is there.
    """

    rgb: np.ndarray
    present: np.ndarray | None = None


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
