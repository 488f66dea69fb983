"""Tissue of catalog rows, and windows on it. Remembered by a process, kept on disk where there is a cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ssl_platform.data.window import grid_windows, place_uniform
from ssl_platform.errors import Unreadable
from ssl_platform.types import Row, Window
from ssl_platform_wholeslide import overview, tissue
from ssl_platform_wholeslide.items import file_of, grid_of_row, through, tile_of_row
from ssl_platform_wholeslide.options import WholeSlideOptions
from ssl_platform_wholeslide.pyramid import aligned
from ssl_platform_wholeslide.recent import Recent
from ssl_platform_wholeslide.selection import spread
from ssl_platform_wholeslide.slides import Slide, open_slide

_PLACES: Recent[tissue.Places] = Recent(128_000_000)
_ABOVE = 3  # folders above a slide's in which a tissue mask is looked for


def remember(slide: Slide, path: Path, file: Path, folder: Path | None) -> np.ndarray:
    """The overview of an open slide, taken from the cache or looked at and kept there.

    Raises:
        Unreadable: the slide cannot be decoded.
    """
    entry = None if folder is None else overview.entry_of(folder, path, file)
    colour = None if entry is None else overview.kept(entry)
    if colour is None:
        colour = overview.look(slide)
        if entry is not None:
            overview.keep(entry, colour)
    return colour


def mask_of(
    row: Row, options: WholeSlideOptions, folder: Path | None, packed: Callable[[Row], np.ndarray | None] | None = None
) -> np.ndarray:
    """`[h, w]` bool, tissue over the slide of a row: of the mask that is named, else found on its overview.

    Args:
        row: of the slide.
        options: of the domain.
        folder: of the cache, or None.
        packed: gives what prepared data holds in the place of `seen_of`, or None.

    Raises:
        Unreadable: there is none, or its mask cannot be used.
    """
    seen = None if packed is None else packed(row)
    if seen is None:
        seen = seen_of(row, folder)
    if row.meta.get("tissue_mask"):
        found = seen.astype(bool)
    else:
        threshold = options.tissue_threshold
        found = tissue.mask_of(seen, threshold if isinstance(threshold, float) else None)
    if not found.any():
        raise Unreadable(tissue.NO_TISSUE)
    return found


def seen_of(row: Row, folder: Path | None) -> np.ndarray:
    """`[h, w]`: the tissue mask that is named for a slide (bool), else its overview (uint8).

    Raises:
        Unreadable: the mask cannot be used, or the slide cannot be decoded.
    """
    named = row.meta.get("tissue_mask")
    if not named:
        return _colour(row, folder)
    height, width = (int(n) for n in str(row.meta["levels"]).partition(";")[0].split("x"))
    return tissue.read_mask(_beside(Path(row.path), str(named)), (height, width))


def _colour(row: Row, folder: Path | None) -> np.ndarray:
    """The overview of a row, from the cache or from its slide."""
    path, file = Path(row.path), file_of(row)
    entry = None if folder is None else overview.entry_of(folder, path, file)
    colour = None if entry is None else overview.kept(entry)
    if colour is None:
        slide = open_slide(file, str(row.meta["reader"]), again=True)
        try:
            colour = remember(slide, path, file, folder)
        finally:
            slide.close()
    return colour


def _beside(path: Path, name: str) -> Path:
    """The file of a mask: absolute, or relative to the slide's folder or one of three above it.

    Raises:
        Unreadable: it is nowhere.
    """
    for folder in (path.parent, *list(path.parents)[1 : _ABOVE + 1]):
        if (folder / name).is_file():
            return folder / name
    raise Unreadable(f"its tissue_mask {name} is not there (looked for in {path.parent} and {_ABOVE} folders above)")


def looked_at(row: Row, slide: Slide, options: WholeSlideOptions, folder: Path | None) -> Row:
    """The row of a slide that was just opened, once its overview is known; the slide is closed.

    Where OpenSlide opens a file and cannot decode it, tiffslide is tried (`data.reader=auto`).

    Raises:
        Unreadable: it cannot be decoded.
    """
    path, file = Path(row.path), file_of(row)
    try:
        remember(slide, path, file, folder)
        return row
    except Unreadable:
        if options.reader != "auto" or row.meta["reader"] != "openslide":
            raise
        other = _other(file)
        if other is None:
            raise
        try:
            remember(other, path, file, folder)
        finally:
            other.close()
        return through(row, other)
    finally:
        slide.close()


def _other(file: Path) -> Slide | None:
    try:
        return open_slide(file, "tiffslide", again=True)
    except Unreadable:
        return None


class Placer:
    """Windows on the tissue of rows.

    Args:
        options: of the domain.
        folder: of the cache, or None.
        packed: as `mask_of` takes it.
    """

    def __init__(
        self,
        options: WholeSlideOptions,
        folder: Path | None,
        packed: Callable[[Row], np.ndarray | None] | None = None,
    ) -> None:
        self.options, self.folder, self.packed = options, folder, packed

    def place(self, row: Row, size: Sequence[int], uniforms: np.ndarray) -> Window:
        """A window with enough tissue, every such place as likely as any other."""
        if self.options.tissue == "none":
            return place_uniform(row, size, uniforms)
        found = self._places(row, size)
        place = found.at(float(uniforms[0]))
        jitter = uniforms[1:3] - 0.5  # the corner lies anywhere in its place of the overview
        window = self._window(row, size, (np.asarray(place) + jitter) * found.cell)
        return self._aligned(row, window, found) if self.options.align else window

    def _aligned(self, row: Row, window: Window, found: tissue.Places) -> Window:
        """The window moved to cross few of the tiles a slide is stored in, where that leaves it on tissue."""
        grid, tiles = grid_of_row(row), tile_of_row(row)
        if min(tiles) == 0 or any(n < s for n, s in zip(row.shape, window.size, strict=True)):
            return window
        axes = zip(window.start, window.size, grid.ratio, tiles, row.shape, strict=True)
        start = tuple(min(max(aligned(a, s, ratio, tile), 0), n - s) for a, s, ratio, tile, n in axes)
        return Window(start, window.size) if found.holds(np.array([start]))[0] else window

    def cover(self, row: Row, size: Sequence[int], whole: bool) -> list[Window]:
        """The tissue tiles of a grid over the slide, at most `data.tiles` of them, or the one nearest their middle."""
        grid = grid_windows(row, size)
        if self.options.tissue == "none":
            chosen = np.array([window.start for window in grid])
        else:
            chosen = self._tiles(row, size, np.array([window.start for window in grid]))
        if not whole:
            middle = chosen.mean(axis=0)
            chosen = chosen[((chosen - middle) ** 2).sum(axis=1).argmin()][None]
        kept = chosen[spread(chosen, size, self.options.tiles)]
        return [Window((int(y), int(x)), (size[0], size[1])) for y, x in kept]

    def _tiles(self, row: Row, size: Sequence[int], starts: np.ndarray) -> np.ndarray:
        """Those of `[n, 2]` first corners whose tiles hold enough tissue; a full place where none does."""
        found = self._places(row, size)
        inside = starts[found.holds(starts)]
        if len(inside):
            return np.asarray(inside)
        return np.array([self._window(row, size, np.asarray(found.at(0.5)) * found.cell).start])

    def _places(self, row: Row, size: Sequence[int]) -> tissue.Places:
        options, shape, wanted = self.options, (row.shape[0], row.shape[1]), (size[0], size[1])
        what = (row.path, row.id, row.fingerprint, row.meta.get("tissue_mask"), self.folder)
        return _PLACES.get(
            (*what, shape, wanted, options.tissue_threshold, options.tissue_fraction),
            lambda: tissue.places(
                mask_of(row, options, self.folder, self.packed), shape, wanted, options.tissue_fraction
            ),
        )

    @staticmethod
    def _window(row: Row, size: Sequence[int], corner: np.ndarray) -> Window:
        slack = np.asarray(row.shape) - np.asarray(size)
        start = np.clip(np.rint(corner).astype(int), np.minimum(slack, 0), np.maximum(slack, 0))
        # where the slide is smaller than the window it lies in its middle
        start = np.where(slack < 0, slack // 2, start)
        return Window((int(start[0]), int(start[1])), (size[0], size[1]))
