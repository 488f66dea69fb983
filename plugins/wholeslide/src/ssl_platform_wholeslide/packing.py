"""Slides in shards: all cells of the grid that windows are read from, in compressed blocks, and where tissue is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ssl_platform.data.cache import Cache
from ssl_platform.data.entry import write_entry, write_squeezed_entry
from ssl_platform.data.prepared import Prepared
from ssl_platform.data.shards.packing import Packed
from ssl_platform.data.window import read_window
from ssl_platform.domain import Domain
from ssl_platform.errors import Unreadable
from ssl_platform.types import Part, Row, Window
from ssl_platform_wholeslide import placing
from ssl_platform_wholeslide.items import CHANNELS, check_same, file_of, grid_of_row
from ssl_platform_wholeslide.options import WholeSlideOptions
from ssl_platform_wholeslide.pyramid import read_box
from ssl_platform_wholeslide.slides import open_slide

TISSUE = "tissue"


def pack(row: Row, scratch: Path, options: WholeSlideOptions, domain: Domain, cache: Cache) -> Packed:
    """The pixels of a slide at the scale of its row, without loss, and its overview (or the mask that was named).

    Raises:
        Unreadable: a part of it cannot be decoded.
    """
    grid, pixels, tissue = grid_of_row(row), scratch / "0.item", scratch / "1.item"
    slide = open_slide(file_of(row), str(row.meta["reader"]), again=True)
    try:
        check_same(row, slide.header)

        def read(box: tuple[tuple[int, int], ...]) -> tuple[np.ndarray, np.ndarray | None]:
            (top, bottom), (left, right) = box
            region = read_box(slide, grid, (top, left), (bottom - top, right - left))
            return region.rgb.transpose(2, 0, 1), region.present

        about = Prepared(np.empty((3, 0, 0), np.uint8), spacing=grid.mpp, channels=CHANNELS)
        write_squeezed_entry(pixels, about, (3, *grid.shape), np.dtype(np.uint8), read, row.path)
    finally:
        slide.close()
    arrays = {cache.key(row, domain): pixels}
    if options.tissue == "auto":
        seen = placing.seen_of(row, cache.folder)
        write_entry(tissue, Prepared(seen.astype(np.uint8)[None], channels=(TISSUE,)), row.path, created=0.0)
        arrays[cache.extra_key(row, domain, TISSUE)] = tissue
    return Packed(row, arrays=arrays)


def packed_tissue(row: Row, domain: Domain) -> np.ndarray | None:
    """`[h, w]` uint8: the overview of a slide (or the mask that was named) as shards hold it, or None.

    Raises:
        Unreadable: it is damaged.
    """
    if domain.cache is None or domain.cache.shards is None or not domain.cache.shards.arrays:
        return None
    found = domain.cache.shards.entry(domain.cache.extra_key(row, domain, TISSUE))
    return None if found is None else np.asarray(found.data)[0]


def read_packed(prepared: Prepared, row: Row, window: Window, domain: Domain) -> Part:
    """One window of a packed slide.

    Raises:
        Unreadable: a block is damaged, or every pixel is zero.
    """
    part = read_window(prepared, row, window, domain.layout)
    inside = tuple(
        slice(max(a, 0) - a, min(a + s, n) - a) for a, s, n in zip(window.start, window.size, row.shape, strict=True)
    )
    within = part.data[(slice(None), *inside)]
    if within.size and not within.any():
        (top, left), (height, width) = window.start, window.size
        raise Unreadable(f"every pixel of its rows {top} to {top + height}, columns {left} to {left + width} is zero")
    return part
