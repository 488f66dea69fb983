"""Windows of a slide as parts of samples."""

from __future__ import annotations

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform.types import Part, Row, Window
from ssl_platform_wholeslide.items import CHANNELS, check_same
from ssl_platform_wholeslide.pyramid import Grid, read_box
from ssl_platform_wholeslide.slides import Slide

_GLASS = 255


def read_window(slide: Slide, row: Row, grid: Grid, window: Window) -> Part:
    """Read one window of the grid; what lies beyond the slide or was not scanned is white and invalid.

    Raises:
        Unreadable: it cannot be decoded, every pixel is zero, or the slide is no longer what was scanned.
    """
    check_same(row, slide.header)
    height, width = window.size
    ends = [(max(a, 0), min(a + s, n)) for a, s, n in zip(window.start, window.size, grid.shape, strict=True)]
    (top, bottom), (left, right) = ends
    origin = (window.start[0] * grid.mpp[0], window.start[1] * grid.mpp[1])
    if bottom <= top or right <= left:
        data = np.full((3, height, width), _GLASS, dtype=np.uint8)
        return Part(data, np.zeros((height, width), dtype=bool), CHANNELS, grid.mpp, origin)
    region = read_box(slide, grid, (top, left), (bottom - top, right - left))
    if not region.rgb.any():
        raise Unreadable(f"every pixel of its rows {top} to {bottom}, columns {left} to {right} is zero")
    pixels = region.rgb.transpose(2, 0, 1)
    if (bottom - top, right - left) == (height, width) and region.present is None:
        return Part(pixels, None, CHANNELS, grid.mpp, origin)
    data = np.full((3, height, width), _GLASS, dtype=np.uint8)
    valid = np.zeros((height, width), dtype=bool)
    place = (
        slice(top - window.start[0], bottom - window.start[0]),
        slice(left - window.start[1], right - window.start[1]),
    )
    data[(slice(None), *place)] = pixels
    valid[place] = True if region.present is None else region.present
    return Part(data, valid, CHANNELS, grid.mpp, origin)
