"""One window of a scene: only its bytes are read, in physical units, with what is missing marked."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform.types import Part, Row, Window
from ssl_platform_multispectral.handles import pooled
from ssl_platform_multispectral.scene import Reading, Scene, reading_of, scene_of

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

_DARK = 1e-6  # linear power below which a radar cell counts as this much: -60 dB
Span = tuple[tuple[int, int], tuple[int, int]]


def read(row: Row, window: Window, fill: float = 0.0) -> Part:
    """The bands of one window.

    Files are read at the size that is needed: a band of coarser cells is interpolated (linear), a coarser grid is
    averaged, from overviews where the file has them. What lies outside the item is invalid.

    Args:
        row: fitted.
        window: in cells of the item's grid.
        fill: value of invalid cells.

    Returns:
        `[C, *window.size]` float32.

    Raises:
        Unreadable: a file is gone or damaged.
    """
    spans = inside(row, window)
    origin = tuple(a * s for a, s in zip(window.start, row.spacing, strict=True))
    shape = (len(row.channels), *window.size)
    if any(b <= a for a, b in spans):
        empty = np.zeros(window.size, dtype=bool)
        return Part(np.full(shape, fill, np.float32), empty, row.channels, row.spacing, origin)
    data, valid = _inner(scene_of(row), reading_of(row), spans)
    if data.shape[1:] != tuple(window.size):
        whole, kept = np.full(shape, fill, np.float32), np.zeros(window.size, dtype=bool)
        place = tuple(slice(a - s, b - s) for (a, b), s in zip(spans, window.start, strict=True))
        whole[(slice(None), *place)] = data
        kept[place] = True if valid is None else valid
        data, valid = whole, kept
    if valid is not None:
        if valid.all():
            valid = None
        else:
            data[:, ~valid] = fill
    return Part(data, valid, row.channels, row.spacing, origin)


def inside(row: Row, window: Window) -> Span:
    """The part of the window that lies in the item, as first and last cell along y and x."""
    y, x = ((max(a, 0), min(a + s, n)) for a, s, n in zip(window.start, window.size, row.shape, strict=True))
    return y, x


def _inner(scene: Scene, reading: Reading, spans: Span) -> tuple[np.ndarray, np.ndarray | None]:
    """`[C, h, w]` float32 and validity of cells that lie in the item; None where all are valid."""
    size = tuple(b - a for a, b in spans)
    data = np.empty((len(reading.bands), *size), np.float32)
    missing: np.ndarray | None = None
    unmasked: list[np.ndarray] = []
    by_file: dict[int, list[int]] = defaultdict(list)
    for channel, band in enumerate(reading.bands):
        by_file[band.file].append(channel)
    for file, channels in by_file.items():
        source = pooled(scene.files[file], scene.warped)
        box = _box(scene, reading.step, spans, source)
        for unsaid, some in _by_unsaid(source, reading, channels).items():
            told = source if unsaid is None or _same(box, size) else pooled(scene.files[file], scene.warped, unsaid)
            numbers = [reading.bands[c].number for c in some]
            stored = _values(told, numbers, box, size)
            # Coarse and fine bands end at one line only where a cell is as empty as the stored cell it lies in.
            looked = _nearest(source, numbers, box, size) if reading.fill_all and box[3] < size[0] else stored
            for values, seen, channel in zip(stored, looked, some, strict=True):
                band = reading.bands[channel]
                empty = _empty(seen, band.nodata)
                if empty is not None:
                    unmasked.append(empty)
                data[channel] = _physical(values, band.scale, band.offset, band.decibel)
        if scene.masked:
            hidden = _mask(source, box, size)
            if hidden is not None:
                missing = hidden if missing is None else missing | hidden
    if unmasked and (not reading.fill_all or len(unmasked) == len(reading.bands)):
        together = np.logical_and if reading.fill_all else np.logical_or
        gone = together.reduce(unmasked)
        missing = gone if missing is None else missing | gone
    return data, None if missing is None or not missing.any() else ~missing


def _by_unsaid(source: DatasetReader, reading: Reading, channels: Sequence[int]) -> dict[float | None, list[int]]:
    """Channels of a file by the value that means no data in them and that the file does not say; None where it does."""
    found: dict[float | None, list[int]] = defaultdict(list)
    for channel in channels:
        number, nodata = reading.bands[channel].number, reading.bands[channel].nodata
        said = nodata is None or source.nodatavals[number - 1] == nodata
        found[None if said or not _holds(source.dtypes[number - 1], nodata) else nodata].append(channel)
    return found


def _holds(dtype: str, value: float | None) -> bool:
    """Whether a stored value can be this number at all."""
    if value is None or math.isnan(value):
        return False
    if not np.issubdtype(dtype, np.integer):
        return True
    limits = np.iinfo(dtype)
    return limits.min <= value <= limits.max and value == int(value)


def _same(box: tuple[float, float, float, float], size: Sequence[int]) -> bool:
    """Whether a box is read cell by cell."""
    column, row, width, height = box
    return height == size[0] and width == size[1] and float(row).is_integer() and float(column).is_integer()


def _box(scene: Scene, step: Sequence[float], spans: Span, source: DatasetReader) -> tuple[float, float, float, float]:
    """`(column, row, width, height)` in cells of one file, whose cells may be coarser than the scene's."""
    ratio_y, ratio_x = source.height / scene.height, source.width / scene.width
    (y0, y1), (x0, x1) = spans
    top, left = scene.box[0], scene.box[1]
    # the last cell of a resampled grid may reach a little beyond the item
    bottom, right = (min(n, b * s) for n, b, s in zip(scene.box[2:], (y1, x1), step, strict=True))
    y, x = top + y0 * step[0], left + x0 * step[1]
    return x * ratio_x, y * ratio_y, (left + right - x) * ratio_x, (top + bottom - y) * ratio_y


def _values(
    source: DatasetReader, numbers: list[int], box: tuple[float, float, float, float], size: Sequence[int]
) -> np.ndarray:
    """`[n, h, w]` stored values of a box, at `size`."""
    from rasterio.enums import Resampling
    from rasterio.errors import RasterioError
    from rasterio.windows import Window as RasterWindow

    column, row, width, height = box
    try:
        if _same(box, size):
            return np.asarray(source.read(numbers, window=RasterWindow(int(column), int(row), int(width), int(height))))
        how = Resampling.average if height > size[0] else Resampling.bilinear
        return np.asarray(
            source.read(numbers, window=RasterWindow(*box), out_shape=(len(numbers), *size), resampling=how)
        )
    except (RasterioError, OSError) as error:
        cause = " ".join(str(error.__cause__ or error).split())
        raise Unreadable(f"damaged: a window cannot be read ({cause[:160]})") from None


def _mask(source: DatasetReader, box: tuple[float, float, float, float], size: Sequence[int]) -> np.ndarray | None:
    """`[h, w]` bool where the file's mask hides cells, or None where it hides none."""
    from rasterio.enums import Resampling
    from rasterio.windows import Window as RasterWindow

    shown = source.read_masks(1, window=RasterWindow(*box), out_shape=tuple(size), resampling=Resampling.nearest)
    return None if shown.all() else np.asarray(shown == 0)


def _empty(values: np.ndarray, nodata: float | None) -> np.ndarray | None:
    """`[h, w]` bool where a band holds no data; None where it cannot tell."""
    if values.dtype.kind == "f":
        empty = ~np.isfinite(values)
        if nodata is not None and not math.isnan(nodata):
            empty |= values == nodata
        return empty
    return None if nodata is None else values == nodata


def _physical(values: np.ndarray, scale: float, offset: float, decibel: bool) -> np.ndarray:
    """Stored values as float32 in physical units."""
    plain = values.astype(np.float32)
    if scale != 1.0:
        plain *= np.float32(scale)
    if offset != 0.0:
        plain += np.float32(offset)
    if decibel:
        return np.asarray(10.0 * np.log10(np.maximum(np.nan_to_num(plain), _DARK)))
    return np.nan_to_num(plain, copy=False, nan=0.0, posinf=0.0, neginf=0.0) if values.dtype.kind == "f" else plain


def valid_share(row: Row, window: Window, cells: int = 16) -> float:
    """Part of a window that holds data, from a coarse look at the first band (and the mask): in `[0, 1]`."""
    scene, reading = scene_of(row), reading_of(row)
    spans = inside(row, window)
    if any(b <= a for a, b in spans):
        return 0.0
    band = reading.bands[0]
    source = pooled(scene.files[band.file], scene.warped)
    box = _box(scene, reading.step, spans, source)
    height, width = (min(cells, b - a) for a, b in spans)
    part = math.prod(b - a for a, b in spans) / math.prod(window.size)
    empty = _empty(_nearest(source, [band.number], box, (height, width))[0], band.nodata)
    hidden = _mask(source, box, (height, width)) if scene.masked else None
    for mask in (empty, hidden):
        if mask is not None:
            part *= 1.0 - float(mask.mean())
    return part


def _nearest(
    source: DatasetReader, numbers: list[int], box: tuple[float, float, float, float], size: Sequence[int]
) -> np.ndarray:
    """`[n, h, w]` stored values of a box, at `size`: each that of the stored cell it lies in."""
    from rasterio.enums import Resampling
    from rasterio.errors import RasterioError
    from rasterio.windows import Window as RasterWindow

    try:
        shape = (len(numbers), *size)
        return np.asarray(
            source.read(numbers, window=RasterWindow(*box), out_shape=shape, resampling=Resampling.nearest)
        )
    except (RasterioError, OSError) as error:
        cause = " ".join(str(error.__cause__ or error).split())
        raise Unreadable(f"damaged: a window cannot be read ({cause[:160]})") from None


def gaps_possible(row: Row) -> bool:
    """Whether cells of an item may be missing, so that windows must be looked at before they are taken."""
    scene, reading = scene_of(row), reading_of(row)
    floats = any(band.dtype.startswith("float") for band in scene.bands)
    return scene.masked or floats or any(band.nodata is not None for band in reading.bands)
