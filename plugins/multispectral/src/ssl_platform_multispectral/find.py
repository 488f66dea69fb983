"""What under a folder may be a scene: raster files, and folders that hold the bands of scenes as one file each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

SUFFIXES = (".tif", ".tiff", ".jp2", ".j2k", ".vrt", ".img")
# `T33TWM_20230501T100031_B02_10m.jp2`, `LC08_..._SR_B4.TIF`, `scene_B8A.tif`, `MOD09GA..._sur_refl_b01.tif`, `x_VV.tif`
_BAND = re.compile(
    r"(?P<scene>.+?)[_.-](?P<band>(?:SR_|ST_)?B\d{1,2}|B8A|sur_refl_b\d\d|VV|VH|HH|HV)(?P<metres>_\d\dm)?",
    re.IGNORECASE,
)
# Layers that products lay beside their bands: quality, classification, angles, clouds, water vapour, previews.
_BESIDE = re.compile(
    r"(^|[_.-])(SCL|AOT|WVP|TCI|PVI|QA|QA60|QA_\w+|SR_QA_\w+|ST_(?!B\d)\w+|MSK_\w+|CLD\w*|SNW\w*|S[AVZ]{2}|V[AZ]{2}|"
    r"udm2?|fmask|cloud_?mask|LULC|land_?cover|lc|landcover)([_.-]\d\dm)?$",
    re.IGNORECASE,
)

# Products as they are downloaded: archives of a scene, and containers that hold several grids.
_PACKED = re.compile(r"(S[123][A-D]_|L[COTEM]0[4-9]_).*\.(zip|tar|tgz|tar\.gz)", re.IGNORECASE)
_CONTAINER = re.compile(r"((M[OYC]D|VNP|VJ1)\w+\..*\.(hdf|h5|nc))|(S3[A-D]_.*\.nc)", re.IGNORECASE)


def way_out(name: str) -> str | None:
    """Why a product of this file name is not read as it was downloaded, and what makes it readable; else None."""
    if _PACKED.fullmatch(name):
        return "a packed product: unpack it (unzip, tar -xf) and scan the folder"
    return (
        "HDF and NetCDF are not read: convert its bands, e.g. gdal_translate -sds"
        if _CONTAINER.fullmatch(name)
        else None
    )


def band_file(name: str) -> re.Match[str] | None:
    """The parts `scene`, `band`, `metres` of the name of a file that holds one band of a scene."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - once a file of large archives
    return _BAND.fullmatch(stem) if suffix.lower() in SUFFIXES else None


def beside(path: Path) -> bool:
    """Whether a file's name is that of a layer beside the bands (quality, clouds, land cover), which is no image."""
    return bool(_BESIDE.search(path.stem))


def is_product(path: Path) -> bool:
    """Whether a folder is a product as ESA delivers it."""
    return path.name.upper().endswith(".SAFE")


def find(root: Path) -> Iterator[Path]:
    """Candidates under `root`, sorted.

    A `.SAFE` folder is one; so is a folder with files of one band each that belong together. Every other raster file
    is its own candidate, and so are products still packed, which are refused by name rather than passed over. A file
    named outright is one whatever its name.
    """
    if root.is_file() or is_product(root):
        yield root
        return
    for place, folders, names in os.walk(root):
        folder = Path(place)
        folders.sort()
        seen = sorted(name for name in names if not name.startswith("."))
        files = [name for name in seen if name.lower().endswith(SUFFIXES)]
        yield from (folder / name for name in seen if way_out(name))
        banded = set().union(*bands_by_scene(files).values())
        if banded:
            yield folder
        for name in files:
            if name not in banded and not (banded and beside(folder / name)):
                yield folder / name
        products = [name for name in folders if is_product(folder / name)]
        yield from (folder / name for name in products)
        folders[:] = [name for name in folders if name not in products and not name.startswith(".")]


def bands_by_scene(names: Iterable[str]) -> dict[str, list[str]]:
    """Files of one band each by the scene they share; scenes of a single such file are no scenes."""
    scenes: dict[str, list[str]] = {}
    for name in names:
        found = band_file(name)
        if found:
            scenes.setdefault(found["scene"], []).append(name)
    return {scene: files for scene, files in sorted(scenes.items()) if len(files) > 1}
