"""One raster file as its header says, with a look at a few values where the header cannot tell what they are."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_multispectral.find import band_file
from ssl_platform_multispectral.handles import opened
from ssl_platform_multispectral.products import Product, from_name, from_tags
from ssl_platform_multispectral.scene import StoredBand

_COLOURS = ("red", "green", "blue", "nir", "coastal", "rededge", "swir", "yellow")
_LOOK = 64  # cells along each side of a look
_SMALL = 1 << 20  # cells of a scene that is read whole
_CLASSES = 64  # a raster of more distinct whole numbers is no map of classes


@dataclass(frozen=True)
class Header:
    """What one file says.

    Attributes:
        path: of the file.
        bands: alpha bands are left out.
        height, width, transform, crs, warped, masked: as in `Scene`.
        product: sensor, time and the like from name and tags.
        colours: whether band names are colours that the file's colour interpretation gives.
        classes: distinct whole numbers of the only, nameless band; 0 when that is not what it is.
    """

    path: Path
    bands: tuple[StoredBand, ...]
    height: int
    width: int
    transform: tuple[float, ...]
    crs: str
    warped: bool
    masked: bool
    product: Product
    colours: bool = False
    classes: int = 0


def read_header(path: Path, file: int = 0) -> Header:
    """Read the header of a file.

    Args:
        path: of the file.
        file: its position among the files of its scene.

    Raises:
        Unreadable: it cannot be opened, or is no image.
    """
    with opened(str(path)) as source:
        tags = dict(source.tags())
        if not _turned(source):
            return _header(source, path, file, tags, warped=False)
    with opened(str(path), warped=True) as source:
        return _header(source, path, file, tags, warped=True)


def _turned(source: Any) -> bool:
    """Whether rows do not run south and columns not east, or only control points say where it lies."""
    if source.gcps[0] and source.transform.is_identity:
        return True
    t = source.transform
    return source.crs is not None and not (t.b == 0 and t.d == 0 and t.a > 0 and t.e < 0)


def _header(source: Any, path: Path, file: int, tags: dict[str, str], *, warped: bool) -> Header:
    from rasterio.enums import ColorInterp, MaskFlags

    alphas = {n for n, colour in enumerate(source.colorinterp, 1) if colour == ColorInterp.alpha}
    # Writers mark the fourth of four bytes as alpha unasked: one that is described as a band is that band.
    alphas = {n for n in alphas if (source.descriptions[n - 1] or "alpha").lower() == "alpha"}
    numbers = [n for n in source.indexes if n not in alphas]
    if not numbers or any("complex" in source.dtypes[n - 1] for n in numbers):
        raise Unreadable("complex radar values: detect, calibrate and terrain-correct the scene first")
    if source.colorinterp[0] == ColorInterp.palette:
        raise Unreadable("colours stand in a palette: expand it first (gdal_translate -expand rgb)")
    flags = [set(source.mask_flag_enums[n - 1]) for n in numbers]
    masked = any(bool(alphas) if MaskFlags.alpha in flag else MaskFlags.per_dataset in flag for flag in flags)
    described = [source.descriptions[n - 1] or "" for n in numbers]
    names, colours = _names(source, numbers, described, path)
    common = {key.upper(): value for key, value in tags.items()}
    bands = tuple(
        StoredBand(
            file,
            n,
            name,
            str(source.dtypes[n - 1]),
            _number(source.nodatavals[n - 1]),
            *_stated(source, n, common),
        )
        for n, name in zip(numbers, names, strict=True)
    )
    known = source.crs is not None and not source.transform.is_identity
    bands, classes = _looked(source, bands)
    return Header(
        path,
        bands,
        source.height,
        source.width,
        tuple(float(v) for v in source.transform[:6]),
        _crs_text(source.crs) if known else "",
        warped,
        masked,
        from_tags(tags).over(from_name(path)),
        colours,
        classes,
    )


def _names(source: Any, numbers: list[int], described: list[str], path: Path) -> tuple[list[str], bool]:
    """Names of the bands: descriptions, else the file's own name for a single band, else colours; and whether such."""
    if any(described):
        return described, False
    own = band_file(path.name) if len(numbers) == 1 else None
    if own:
        return [own["band"]], False
    colours = [source.colorinterp[n - 1].name.lower() for n in numbers]
    if {"red", "green", "blue"} <= set(colours):
        return [colour if colour in _COLOURS else "" for colour in colours], True
    return described, False


def _stated(source: Any, number: int, tags: dict[str, str]) -> tuple[float | None, float | None]:
    """The file's own scale and offset of a band: GDAL's, else the tags SCALE and OFFSET."""
    scale, offset = float(source.scales[number - 1]), float(source.offsets[number - 1])
    if scale != 1.0 or offset != 0.0:
        return scale, offset
    own = {key.upper(): value for key, value in source.tags(number).items()}
    told = {**tags, **own}
    scale_text = told.get("SCALE") or told.get("SCALE_FACTOR")
    if scale_text is None:
        return None, None
    try:
        return float(scale_text), float(told.get("OFFSET") or told.get("ADD_OFFSET") or 0.0)
    except ValueError:
        return None, None


def _looked(source: Any, bands: tuple[StoredBand, ...]) -> tuple[tuple[StoredBand, ...], int]:
    """The bands with the range of values seen, and the classes of a nameless band.

    Small scenes are read whole, so that damage is known before a run; of large ones up to five places are looked at,
    and only where the header leaves open what values are.
    """
    floats = any(band.dtype.startswith("float") for band in bands)
    nameless = len(bands) == 1 and not bands[0].name and not floats
    small = source.height * source.width <= _SMALL
    if not (small or floats or nameless):
        return bands, 0
    seen: list[np.ndarray] = []
    for box in [(0, 0, source.height, source.width)] if small else _places(source.height, source.width):
        values = _read(source, [band.number for band in bands], box)
        good = _filled(values, bands[0].nodata)
        if good.any():
            seen.append(values[:, good])
            if not nameless:
                break
    if not seen:
        if small:
            raise Unreadable("every cell is without data")
        return bands, 0
    values = np.concatenate(seen, axis=1)
    distinct = len(np.unique(values)) if nameless else 0
    ranges = [(float(band.min()), float(np.percentile(band[:: max(1, band.size // 4096)], 99))) for band in values]
    found = tuple(replace(b, low=low, high=high) for b, (low, high) in zip(bands, ranges, strict=True))
    return found, distinct if distinct <= _CLASSES else 0


def _places(height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Boxes in the middle and in the four quarters."""
    h, w = min(_LOOK, height), min(_LOOK, width)
    around = ((2, 2), (1, 1), (1, 3), (3, 1), (3, 3))
    return [(int((height - h) * down / 4), int((width - w) * across / 4), h, w) for down, across in around]


def _filled(values: np.ndarray, nodata: float | None) -> np.ndarray:
    """`[h, w]` bool, where `[C, h, w]` holds data."""
    good = np.isfinite(values).all(0) if values.dtype.kind == "f" else np.ones(values.shape[1:], bool)
    return good if nodata is None or math.isnan(nodata) else good & (values != nodata).any(0)


def _read(source: Any, numbers: list[int], box: tuple[int, int, int, int]) -> np.ndarray:
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    row, column, height, width = box
    try:
        return np.asarray(source.read(numbers, window=Window(column, row, width, height)))
    except (RasterioError, OSError) as error:
        cause = " ".join(str(error.__cause__ or error).split())
        raise Unreadable(f"damaged: its values cannot be read ({cause[:120]})") from None


def _crs_text(crs: Any) -> str:
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else str(crs.to_wkt())


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
