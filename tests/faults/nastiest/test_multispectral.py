"""The nastiest scenes: used by a rule that is said, or refused in one line with a way out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

RNG = np.random.default_rng(0)


TAGS = {"SENSOR": "Sentinel-2 MSI L2A", "PROCESSING_BASELINE": "05.10"}


def raster(path: Path, values: np.ndarray | None = None, **profile: object) -> None:
    from ssl_platform_multispectral.testing import write_raster

    chosen = np.random.default_rng(3).integers(1200, 4000, (4, 24, 24)).astype(np.uint16) if values is None else values
    write_raster(path, chosen, **{"names": ("B02", "B03", "B04", "B08"), "tags": TAGS, **profile})


def counts() -> np.ndarray:
    return RNG.integers(1200, 4000, (4, 24, 24))


def border(kind: type) -> np.ndarray:
    values = counts().astype(kind)
    values[:, :, :8] = -9999
    return values


def good(path: Path) -> None:
    raster(path)


GOOD = "good{}.tif"
NASTIEST = {
    "before_2022.tif": (
        lambda path: raster(path, tags={**TAGS, "PROCESSING_BASELINE": "02.14"}),
        True,
        "1 scene: baseline 02.14: values x 0.0001, no offset",
    ),
    "reflectance.tif": (
        lambda path: raster(path, (counts() / 1e4).astype(np.float32)),
        True,
        "1 scene: floating-point values in the range of reflectance already: not scaled again",
    ),
    "coarse.tif": (lambda path: raster(path, metres=300.0), True, "1 scene enlarged up to 30 times"),
    "per_cent.tif": (lambda path: raster(path, (counts() / 1e2).astype(np.float32)), False, "(per cent?): set data.sc"),
    "border.tif": (
        lambda path: raster(path, border(np.int16)),
        False,
        "its lowest value -9999 usually marks missing data, but the file does not say so: set data.nodata=-9999",
    ),
    "S2B_MSIL2A_20230501T100031.SAFE.zip": (
        lambda path: path.write_bytes(b"PK\3\4"),
        False,
        "a packed product: unpack it (unzip, tar -xf) and scan the folder",
    ),
    "MOD09GA.A2021001.h18v04.hdf": (lambda path: path.write_bytes(b"\x0e\3"), False, "HDF and NetCDF are not read"),
    "LULC.tif": (
        lambda path: raster(path, RNG.integers(0, 5, (1, 24, 24)).astype(np.uint8), names=(), tags={}),
        None,
        "1 file named as quality or land-cover layers, such as LULC.tif",
    ),
    "pointer.tif": (None, False, "a Git LFS pointer"),
}


def test_it_is_used_by_a_rule_or_refused_with_a_way_out(told, nasty: str) -> None:
    told.check(nasty)
