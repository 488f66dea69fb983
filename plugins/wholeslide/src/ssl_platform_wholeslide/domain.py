"""Whole-slide images: brightfield microscopy at a stated scale, from the files scanners write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ssl_platform.data.shards.packing import Packed
from ssl_platform.domain import Domain, DomainOptions
from ssl_platform.types import Channel, Layout, Part, Row, Window
from ssl_platform_wholeslide import find, items
from ssl_platform_wholeslide.options import WholeSlideOptions
from ssl_platform_wholeslide.slides import SUFFIXES

if TYPE_CHECKING:
    from ssl_platform.data.box import Box
    from ssl_platform.data.shards.about import Form
    from ssl_platform.views.operation import Operation
    from ssl_platform_wholeslide.placing import Placer
    from ssl_platform_wholeslide.pool import Pool

# Tissue lies on glass any way up, and sections may be turned over. How much stain it took says nothing of it.
SYMMETRIES = ("flip:H", "flip:W", "rot90:HW", "rotate:HW", "scale", "gain", "gamma", "blur", "cutout")
MOVES = ("rot90:HW", "flip:H", "flip:W", "shuffle")
_TRANSFORM_VERSION = 1


class WholeSlide(Domain):
    """Slides as grids of red, green and blue (uint8), rows down and columns to the right, at `data.mpp` microns a cell.

    A window is read from the coarsest level that is not coarser than asked for and resampled where no level has that
    scale. Windows lie on tissue.
    """

    name = "wholeslide"
    layout: ClassVar[Layout] = Layout(
        axes="C H W",
        channels=tuple(Channel(name, bounds=(0.0, 255.0)) for name in items.CHANNELS),
        unit="um",
        symmetries=frozenset(SYMMETRIES),
        moves=frozenset(MOVES),
        fill=255.0,
        relations=("same", "overlap"),
    )
    suffixes = SUFFIXES
    Options: ClassVar[type[DomainOptions]] = WholeSlideOptions
    columns: ClassVar[Mapping[str, type]] = {"mpp": str, "tissue_mask": str}
    tasks = ("classification", "multi-label", "regression", "retrieval", "mil", "fewshot")
    sensitive = True
    default_objective = "simclr"
    window = (64, 64)
    patch = (8, 8)
    packed_words = "cells at the scale of windows, compressed without loss"

    # -------------------------------------------------------------------------------------------------------- catalog
    def find(self, root: Path) -> Iterator[Path]:
        """Slide files and folders of DICOM files under `root`."""
        return find.find(root)

    def scan(self, path: Path) -> Iterable[Row]:
        """A row for each slide, at its own full resolution; a small overview of it is looked at and kept.

        Slides without a scale come without one: `fit` supplies it or refuses. Patches in HDF5 have no overview.

        Raises:
            Unreadable: the file cannot be opened or its overview not decoded.
        """
        from ssl_platform_wholeslide.placing import looked_at
        from ssl_platform_wholeslide.slides.patches import holds_patches

        if holds_patches(path):
            yield from items.patch_rows(path)
            return
        for row, slide in items.rows_of(path, self.options):
            yield looked_at(row, slide, self.options, self._folder)

    def fit(self, row: Row) -> Row:
        """The row in the grid of `data.mpp`, under the columns `mpp` and `tissue_mask`.

        Raises:
            Unreadable: its scale is unknown, it is coarser than asked for, or it has no tissue.
        """
        row = items.fitted(row, self.options)
        if self.options.tissue == "auto":
            from ssl_platform_wholeslide.placing import mask_of

            mask_of(row, self.options, self._folder, self._packed_tissue)
        return row

    def settle(self, rows: Iterable[Row]) -> dict[str, tuple[Any, str]]:
        """The scale of windows and of slides that store none, where they are `auto`."""
        from ssl_platform_wholeslide.settle import settle

        return settle(rows, self.options)

    def group(self, row: Row) -> tuple[str | None, str]:
        """The patient of DICOM (salted hash), the TCGA case, or None: each slide its own group."""
        return row.group, str(row.meta.get("group_rule", "file"))

    # --------------------------------------------------------------------------------------------------------- pixels
    def read(self, row: Row, window: Window) -> dict[str, Part]:
        """One window: `[3, h, w]` uint8, white and invalid beyond the slide and where nothing was scanned.

        Raises:
            Unreadable: its pixels cannot be decoded, or all of them are zero.
        """
        packed = self.held(row)
        if packed is not None:
            from ssl_platform_wholeslide.packing import read_packed

            return {"main": read_packed(packed, row, window, self)}
        from ssl_platform_wholeslide.windows import read_window

        with self._pool.slide(str(items.file_of(row)), str(row.meta["reader"])) as slide:
            return {"main": read_window(slide, row, items.grid_of_row(row), window)}

    def verify(self, row: Row) -> Mapping[str, float]:
        """Decode a tile of tissue at the slide's far end, where a file that was cut off lacks its tiles.

        Raises:
            Unreadable: it cannot be decoded.
        """
        from ssl_platform_wholeslide.slides import open_slide
        from ssl_platform_wholeslide.windows import read_window

        ends = [max(0, n - size) for n, size in zip(row.shape, self.window, strict=True)]
        corner = Window((ends[0], ends[1]), (self.window[0], self.window[1]))
        slide = open_slide(items.file_of(row), str(row.meta["reader"]))
        try:
            for window in (corner, *self.cover(row, self.window)[-1:]):
                read_window(slide, row, items.grid_of_row(row), window)
        finally:
            slide.close()
        return {}

    def place(self, row: Row, size: Sequence[int], uniforms: np.ndarray) -> Window:
        """A window of which at least `data.tissue_fraction` is tissue."""
        return self._placer.place(row, size, uniforms)

    def cover(self, row: Row, size: Sequence[int], whole: bool = True) -> Sequence[Window]:
        """At most `data.tiles` tiles spread over the tissue, or the one nearest its middle."""
        return self._placer.cover(row, size, whole)

    def label_box(self, row: Row, box: Box) -> Box:
        """Pixels down and to the right of the slide's finest level, in cells of the grid of `data.mpp`."""
        height, width = items.finest(row)
        steps = (row.shape[0] / height, row.shape[1] / width)
        return tuple((a * step, b * step) for (a, b), step in zip(super().label_box(row, box), steps, strict=True))

    def views(self) -> Sequence[Operation]:
        """Jitter of the stains."""
        from ssl_platform_wholeslide.views import operations

        return operations()

    def render(self, x: np.ndarray, channels: Sequence[str]) -> np.ndarray:
        """The picture as the microscope shows it: `[H, W, 3]` uint8."""
        return np.ascontiguousarray(np.nan_to_num(x[:3]).clip(0, 255).round().astype(np.uint8).transpose(1, 2, 0))

    def sample_data(self, folder: Path, seed: int = 0) -> Path:
        """192 labelled synthetic slides as pyramidal TIFF files; written once."""
        from ssl_platform_wholeslide.phantom import write_sample_set

        return write_sample_set(folder, seed)

    # ---------------------------------------------------------------------------------------------------------- shards
    def packed_form(self, exact: bool = False) -> tuple[Form, bool]:
        """All cells of the grid at `data.mpp`."""
        return "arrays", True

    def packed_exactly(self, row: Row) -> bool:
        """Where a cell is a whole number of pixels; else resampling rounds by where a window begins."""
        return all(float(ratio).is_integer() for ratio in items.grid_of_row(row).ratio)

    def packed_bytes(self, row: Row) -> int | None:
        """At most three bytes a cell; glass takes nearly nothing."""
        return 3 * row.shape[0] * row.shape[1]

    def prepare_key(self) -> Mapping[str, Any]:
        """The scale is in the row; how windows are placed does not change what is packed."""
        return {"version": _TRANSFORM_VERSION}

    def pack(self, row: Row, files: Sequence[str], scratch: Path, exact: bool = False) -> Packed:
        """The slide at `data.mpp` in compressed blocks, and its overview; no value changes.

        Raises:
            Unreadable: a part of it cannot be decoded.
        """
        from ssl_platform_wholeslide.packing import pack

        assert self.cache is not None
        return pack(row, scratch, self.options, self, self.cache)

    def _packed_tissue(self, row: Row) -> np.ndarray | None:
        from ssl_platform_wholeslide.packing import packed_tissue

        return packed_tissue(row, self)

    # ------------------------------------------------------------------------------------------------------- resources
    @property
    def _folder(self) -> Path | None:
        return None if self.cache is None else self.cache.folder

    @property
    def _placer(self) -> Placer:
        from ssl_platform_wholeslide.placing import Placer

        return Placer(self.options, self._folder, self._packed_tissue)

    @property
    def _pool(self) -> Pool:
        from ssl_platform_wholeslide.pool import pool

        return pool(self.options.open_slides, self.options.tile_cache_mb)
