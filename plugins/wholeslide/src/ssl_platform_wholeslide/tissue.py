"""Where a slide has tissue, and where windows on it may lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssl_platform.errors import Unreadable

LEAST, MOST = 8.0, 24.0
"""Bounds of the automatic threshold of colourfulness: below is glass whatever else is there, above is tissue."""
_SAME_ASPECT = 0.05
_SIDE = 2048


def mask_of(colour: np.ndarray, threshold: float | None) -> np.ndarray:
    """`[h, w]` bool from an overview: more colourful than a threshold, Otsu's between 8 and 24 where None is given.

    The bounds keep a slide of glass from being cut in two by its noise, and pale tissue from being cut off beside dark.
    """
    limit = float(np.clip(otsu(colour), LEAST, MOST)) if threshold is None else threshold
    return np.asarray(colour > limit)


def otsu(values: np.ndarray) -> float:
    """The threshold of uint8 values with the largest variance between both sides (Otsu, 1979)."""
    counts = np.bincount(values.ravel(), minlength=256).astype(np.float64)
    levels = np.arange(256)
    below, total = counts.cumsum(), (counts * levels).cumsum()
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (total / below - (total[-1] - total) / above) ** 2
    between = np.where(np.isfinite(between), between, 0.0)
    if not between.any():  # all values are one
        return float(values.flat[0])
    return float(levels[between >= between.max() * (1 - 1e-9)].mean())


def read_mask(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """`[h, w]` bool from a picture of the whole slide in which tissue is not zero.

    Args:
        path: PNG, TIFF or any picture.
        shape: height and width of the slide, whose aspect it must have.

    Raises:
        Unreadable: it cannot be read, is of another aspect, or is all zero.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
            scale = max(1, -(-max(image.size) // _SIDE))
            mask = np.asarray(image.convert("RGBA").reduce(scale) if scale > 1 else image.convert("RGBA"))[..., :3] > 0
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise Unreadable(f"its tissue_mask {path.name} cannot be read: {' '.join(str(error).split())}") from None
    found = mask.any(axis=2)
    if abs(found.shape[0] / found.shape[1] / (shape[0] / shape[1]) - 1) > _SAME_ASPECT + 1 / min(found.shape):
        raise Unreadable(
            f"its tissue_mask {path.name} has shape {found.shape[0]}x{found.shape[1]}, another aspect than the slide's "
            f"{shape[0]}x{shape[1]}: it must show the whole slide"
        )
    return np.asarray(found)


@dataclass(frozen=True)
class Places:
    """Places of an overview at which the first corner of a window may lie.

    Attributes:
        allowed: `[h, w]` bool over the overview, packed into bits along each row.
        width: places of a row.
        rows: `[h]` int64 allowed places in this row and those above.
        cell: cells of the slide's grid to a place along y and x.
    """

    allowed: np.ndarray
    width: int
    rows: np.ndarray
    cell: tuple[float, float]

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return int(self.allowed.nbytes + self.rows.nbytes)

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.rows[-1])

    def at(self, uniform: float) -> tuple[int, int]:
        """One of them, all as likely: row and column of the overview."""
        number = int(uniform * self.count)
        row = int(np.searchsorted(self.rows, number, side="right"))
        inside = number - (int(self.rows[row - 1]) if row else 0)
        return row, int(np.flatnonzero(np.unpackbits(self.allowed[row], count=self.width))[inside])

    def holds(self, corners: np.ndarray) -> np.ndarray:
        """`[n]` bool, whether each of `[n, 2]` first corners, in cells of the slide's grid, lies at one of them."""
        at = np.rint(corners / self.cell).astype(int)
        at = np.clip(at, 0, (len(self.rows) - 1, self.width - 1))
        return np.asarray((self.allowed[at[:, 0], at[:, 1] >> 3] >> (7 - (at[:, 1] & 7))) & 1, dtype=bool)


def fractions(mask: np.ndarray, shape: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """`[h', w']` float32: fraction of tissue in a window, by the place of its first corner.

    Args:
        mask: `[h, w]` bool over the slide.
        shape: of the slide's grid.
        size: of the window in cells of it.
    """
    spans = [min(n, max(1, round(s * n / cells))) for n, s, cells in zip(mask.shape, size, shape, strict=True)]
    total = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), dtype=np.int64)
    total[1:, 1:] = mask.cumsum(axis=0).cumsum(axis=1)
    a, b = spans
    inside = total[a:, b:] - total[:-a, b:] - total[a:, :-b] + total[:-a, :-b]
    return np.asarray(inside / np.float32(a * b), dtype=np.float32)


def places(mask: np.ndarray, shape: tuple[int, int], size: tuple[int, int], least: float) -> Places:
    """Where windows hold enough tissue; where none does (a small biopsy), those that hold the most.

    Raises:
        Unreadable: there is no tissue at all.
    """
    found = fractions(mask, shape, size)
    best = float(found.max())
    if best == 0.0:
        raise Unreadable(NO_TISSUE)
    allowed = found >= min(least, 0.9 * best)
    cell = (shape[0] / mask.shape[0], shape[1] / mask.shape[1])
    return Places(np.packbits(allowed, axis=1), allowed.shape[1], allowed.sum(axis=1).cumsum(), cell)


NO_TISSUE = (
    "no tissue found on it: lower data.tissue_threshold, name a mask in a manifest column tissue_mask, or set "
    "data.tissue=none"
)
