"""Label rasters in the grid of their scene, and predictions back on the map: joined by coordinates, never by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.errors import DataError, Misfit, Unreadable
from ssl_platform.types import Row
from ssl_platform_multispectral.grid import transform_of
from ssl_platform_multispectral.handles import SETTINGS, opened
from ssl_platform_multispectral.scene import reading_of, scene_of

UNKNOWN = 255  # what a scene's cells get where the label raster does not reach
_APART = 0.05  # of a cell: grids nearer than this are one


def read_mask(row: Row, path: Path, resample: bool = False) -> np.ndarray:
    """Labels `[*row.shape]` (uint8, else int32); cells the raster does not cover, or has no data for, are 255.

    The raster may be larger than the scene and lie in another place of its grid; another cell size or coordinate
    system must be asked for.

    Args:
        row: fitted.
        path: a raster of one band of whole numbers.
        resample: whether other cells are brought to the scene's (nearest).

    Raises:
        Misfit: its cells are not the scene's and `resample` is off, or it shows other ground.
        Unreadable: it cannot be read, or holds no whole numbers.
    """
    from affine import Affine
    from rasterio.enums import Resampling
    from rasterio.vrt import WarpedVRT

    if not path.exists():
        raise Unreadable(f"mask {path.name} is not there")
    scene = scene_of(row)
    grid = Affine(*transform_of(scene, reading_of(row).step))
    with opened(str(path)) as source:
        _check(source, path)
        if not scene.crs or source.crs is None:
            return _by_shape(row, source, path)
        why = _departs(source, grid, scene.crs)
        if why and not resample:
            raise Misfit(f"mask {path.name} {why}; labels.resample=nearest would resample it")
        with WarpedVRT(
            source,
            crs=scene.crs,
            transform=grid,
            height=row.shape[0],
            width=row.shape[1],
            resampling=Resampling.nearest,
            add_alpha=True,
        ) as vrt:
            labels, known = vrt.read(1), vrt.read(vrt.count) > 0
    if not known.any():
        raise Misfit(f"mask {path.name} shows other ground than its scene")
    return _with_unknown(labels, known)


def _check(source: Any, path: Path) -> None:
    if source.count != 1:
        raise Unreadable(f"mask {path.name} has {source.count} bands: one is needed")
    if source.dtypes[0].startswith("float"):
        values = source.read(1, out_shape=(min(512, source.height), min(512, source.width)))
        values = values[np.isfinite(values)]
        if values.size and float(np.abs(values - np.rint(values)).max()) > 1e-3:
            raise Unreadable(f"mask {path.name} holds values that are not whole numbers: probabilities or an image?")


def _departs(source: Any, grid: Any, crs: str) -> str:
    """How the cells of a raster depart from the scene's; empty where they do not."""
    from rasterio.crs import CRS

    if CRS.from_user_input(crs) != source.crs:
        return f"is in {source.crs.to_string()[:40]}, its scene in {crs[:40]}"
    a, e = source.transform.a, source.transform.e
    if abs(a / grid.a - 1) > _APART / 10 or abs(e / grid.e - 1) > _APART / 10:
        return f"has cells of {abs(a):g} x {abs(e):g}, its scene of {abs(grid.a):g} x {abs(grid.e):g}"
    off = ((source.transform.c - grid.c) / grid.a, (source.transform.f - grid.f) / grid.e)
    if any(abs(o - round(o)) > _APART for o in off):
        return f"lies {off[0] % 1:.2f} and {off[1] % 1:.2f} of a cell off its scene's grid"
    return ""


def _by_shape(row: Row, source: Any, path: Path) -> np.ndarray:
    """A mask without coordinates, or for a scene without: the shapes must be equal."""
    if (source.height, source.width) != tuple(row.shape):
        raise Misfit(
            f"mask {path.name} has shape {source.height}x{source.width}, its scene {row.shape[0]}x{row.shape[1]}, and "
            "one of them has no coordinate system to join them by"
        )
    labels = source.read(1)
    return _with_unknown(labels, source.read_masks(1) > 0)


def _with_unknown(labels: np.ndarray, known: np.ndarray) -> np.ndarray:
    whole = np.rint(labels).astype(np.int32) if labels.dtype.kind == "f" else labels
    small = np.uint8 if whole.size == 0 or (int(whole.min()) >= 0 and int(whole.max()) <= 255) else np.int32
    return np.where(known, whole, UNKNOWN).astype(small)


def write_prediction(row: Row, prediction: np.ndarray, path: Path) -> Path:
    """Write a prediction `[*row.shape]` as a GeoTIFF in the scene's coordinate system; return the file.

    Whole numbers are stored as the smallest type that holds them, others as float32; tiled and compressed.

    Raises:
        DataError: the prediction's shape is not the row's.
    """
    import rasterio
    from affine import Affine

    if tuple(prediction.shape) != tuple(row.shape):
        raise DataError(f"{row.id}: a prediction of shape {prediction.shape} does not fit the scene's {row.shape}")
    scene = scene_of(row)
    if path.suffix.lower() not in (".tif", ".tiff"):
        path = path.with_name(f"{path.name}.tif")
    values = prediction
    if values.dtype.kind == "f":
        values = values.astype(np.float32)
    else:
        low, high = int(values.min()), int(values.max())
        values = values.astype(np.uint8 if low >= 0 and high <= 255 else np.int16 if high < 1 << 15 else np.int32)
    draft = path.with_name(f".{path.name}.draft")
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256} if min(row.shape) >= 256 else {}
    with (
        rasterio.Env(**SETTINGS),
        rasterio.open(
            draft,
            "w",
            driver="GTiff",
            height=row.shape[0],
            width=row.shape[1],
            count=1,
            dtype=values.dtype.name,
            crs=scene.crs or None,
            transform=Affine(*transform_of(scene, reading_of(row).step)),
            compress="deflate",
            **tiles,
        ) as out,
    ):
        out.write(values, 1)
    draft.replace(path)
    return path
