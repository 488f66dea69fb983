"""Makers of small real files, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

SENTINEL2 = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")


def write_raster(
    path: Path,
    values: np.ndarray,
    *,
    names: Sequence[str] = (),
    crs: str | None = "EPSG:32633",
    corner: tuple[float, float] = (500_000.0, 5_000_000.0),
    metres: float = 10.0,
    tags: dict[str, str] | None = None,
    **profile: Any,
) -> Path:
    """Write `[C, H, W]` as a raster file, north up unless `profile` brings a transform; return the path."""
    import warnings

    import rasterio
    from affine import Affine

    path.parent.mkdir(parents=True, exist_ok=True)
    made = {
        "driver": "JP2OpenJPEG" if path.suffix == ".jp2" else "GTiff",
        "count": values.shape[0],
        "height": values.shape[1],
        "width": values.shape[2],
        "dtype": values.dtype.name,
        "transform": Affine(metres, 0, corner[0], 0, -metres, corner[1]),
        "crs": crs,
        **({"QUALITY": "100", "REVERSIBLE": "YES"} if path.suffix == ".jp2" else {}),
        **profile,
    }
    if crs is None and "transform" not in profile:
        del made["transform"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path, "w", **made) as out:
            out.write(values)
            for number, name in enumerate(names, 1):
                out.set_band_description(number, name)
            out.update_tags(**(tags or {}))
    return path


def write_safe(
    folder: Path,
    values: dict[str, np.ndarray],
    *,
    baseline: str = "05.09",
    time: str = "20230501T100031",
    metadata: bool = True,
) -> Path:
    """Write a level-2A product folder as ESA delivers it; return it.

    Args:
        folder: where the `.SAFE` folder goes.
        values: `[H, W]` uint16 by band; a band of half the cells has 20 m, of a sixth 60 m.
        baseline: processing baseline, in name and metadata.
        time: of acquisition.
        metadata: whether `MTD_MSIL2A.xml` is there.
    """
    product = folder / f"S2A_MSIL2A_{time}_N{baseline.replace('.', '')}_R122_T33TWM_{time}.SAFE"
    images = product / "GRANULE" / "L2A_T33TWM" / "IMG_DATA"
    full = max(band.shape[0] for band in values.values())
    for name, band in values.items():
        metres = round(10 * full / band.shape[0])
        path = images / f"R{metres}m" / f"T33TWM_{time}_{name}_{metres}m.jp2"
        write_raster(path, band[None], metres=metres)
    write_raster(
        images / "R20m" / f"T33TWM_{time}_SCL_20m.jp2", np.zeros((1, full // 2, full // 2), np.uint8), metres=20
    )
    if metadata:
        text = (
            f"<n><PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE><PROCESSING_LEVEL>Level-2A</PROCESSING_LEVEL></n>"
        )
        (product / "MTD_MSIL2A.xml").write_text(text)
    return product


LANDSAT = "LC08_L2SP_190027_20210704_20210712_02_T1"


def write_landsat(folder: Path, values: dict[str, np.ndarray], name: str = LANDSAT, metadata: str = "") -> Path:
    """Write the bands of a Landsat scene as USGS names them (`SR_B4`..) beside a quality layer; return the folder.

    Args:
        folder: where.
        values: `[H, W]` uint16 by band.
        name: of the product.
        metadata: content of its MTL file; none is written when empty.
    """
    for band, array in values.items():
        write_raster(folder / f"{name}_{band}.TIF", array[None], metres=30.0)
    first = next(iter(values.values()))
    write_raster(folder / f"{name}_QA_PIXEL.TIF", np.full((1, *first.shape), 21824, np.uint16), metres=30.0)
    if metadata:
        (folder / f"{name}_MTL.txt").write_text(metadata)
    return folder
