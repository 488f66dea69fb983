"""Scenes in shards: their files as tiled, compressed GeoTIFFs, without loss, opened where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ssl_platform.data.shards.packing import Packed
from ssl_platform.errors import Unreadable
from ssl_platform.types import Row
from ssl_platform_multispectral.handles import SETTINGS
from ssl_platform_multispectral.scene import SCENE, dump, scene_of

_TILE = 256
_SIDECARS = (".msk", ".ovr")


def files_of(row: Row) -> tuple[str, ...]:
    """Absolute paths of the files of a scene; those of a large one are shared by its tiles."""
    channels = [path for name, path in row.parts.items() if name.startswith("channel:")]
    return tuple(dict.fromkeys((*scene_of(row).files, *channels)))


def moved(row: Row, paths: dict[str, str]) -> Row:
    """The row with other paths of its files."""
    scene = scene_of(row)
    there = replace(scene, files=tuple(paths.get(path, path) for path in scene.files))
    return row.replace(meta={**row.meta, SCENE: dump(there)})


def pack(row: Row, files: Sequence[str], scratch: Path) -> Packed:
    """Files of a scene as they are packed: as they are where they are tiled already, else as tiled copies.

    Raises:
        Unreadable: one is damaged.
    """
    packed = Packed(row)
    for number, path in enumerate(files):
        copy = scratch / f"{number}.tif"
        packed.files[path] = copy if _copied(path, copy) else Path(path)
    return packed


def _copied(path: str, copy: Path) -> bool:
    """Write a tiled copy where that pays; whether there is one.

    Raises:
        Unreadable: the file is damaged.
    """
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.shutil import copy as copy_raster

    try:
        with rasterio.Env(**{**SETTINGS, "GDAL_TIFF_INTERNAL_MASK": "YES"}):
            with rasterio.open(path) as source:
                if _tiled(path, source.profile):
                    return False
                options = _options(source)
                sums = [source.checksum(band) for band in source.indexes]
            copy_raster(path, str(copy), driver="GTiff", **options)
            with rasterio.open(copy) as written:
                return sums == [written.checksum(band) for band in written.indexes]
    except (RasterioError, OSError) as error:
        cause = " ".join(str(error.__cause__ or error).split())
        raise Unreadable(f"{Path(path).name} cannot be read to its end ({cause[:160]})") from None


def _tiled(path: str, profile: Any) -> bool:
    """Whether a file is what a copy would be: a tiled, compressed GeoTIFF with all in one file."""
    beside = any(Path(path + suffix).exists() for suffix in _SIDECARS)
    alone = profile["driver"] in ("GTiff", "COG") and not beside
    return bool(alone and profile.get("tiled") and profile.get("compress"))


def _options(source: Any) -> dict[str, Any]:
    """How a copy is written. Bands lie apart: neighbours in a band are alike, so its tiles compress best alone."""
    kinds = set(source.dtypes)
    floating = any(kind.startswith(("float", "complex")) for kind in kinds)
    return {
        "TILED": "YES",
        "BLOCKXSIZE": _TILE,
        "BLOCKYSIZE": _TILE,
        "INTERLEAVE": "BAND",
        "COMPRESS": "ZSTD",
        "ZSTD_LEVEL": 9,
        "PREDICTOR": 3 if floating else 2,
        "BIGTIFF": "IF_SAFER",
        "COPY_SRC_OVERVIEWS": "YES",
    }
