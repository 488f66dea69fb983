"""Where scenes lie and how large their cells are on the ground."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ssl_platform_multispectral.scene import Scene

METRES_A_DEGREE = 111_195.0  # of a great circle, mean radius of the earth 6371.0088 km
WEB_MERCATOR = "EPSG:3857"
Bounds = tuple[float, float, float, float]


@lru_cache(maxsize=256)
def _unit(crs: str) -> float:
    """Metres of a unit of a coordinate system; 0 for degrees."""
    from rasterio.crs import CRS

    known = CRS.from_user_input(crs)
    return 0.0 if known.is_geographic else float(known.linear_units_factor[1])


def bounds(scene: Scene) -> Bounds:
    """`(left, bottom, right, top)` of the item in its coordinate system."""
    y, x, height, width = scene.box
    a, _, left, _, e, top = scene.transform
    return left + a * x, top + e * (y + height), left + a * (x + width), top + e * y


def spacing_of(scene: Scene) -> tuple[float, float] | None:
    """Metres of a native cell along y and x at the middle of the item; None without georeference."""
    if not scene.crs:
        return None
    a, e = abs(scene.transform[0]), abs(scene.transform[4])
    unit = _unit(scene.crs)
    if unit and scene.crs != WEB_MERCATOR:
        return e * unit, a * unit
    left, bottom, right, top = bounds(scene)
    (latitude,) = to_degrees(scene.crs, [(left + right) / 2], [(bottom + top) / 2])[1]
    shrunk = max(0.01, math.cos(math.radians(latitude)))
    if unit:  # its metres are true at the equator only
        return e * shrunk, a * shrunk
    return e * METRES_A_DEGREE, a * METRES_A_DEGREE * shrunk


def place_of(scene: Scene) -> dict[str, Any]:
    """`x`, `y` of the item's middle in metres of its projection where it has one, and `lon`, `lat` in degrees."""
    if not scene.crs:
        return {}
    left, bottom, right, top = bounds(scene)
    x, y = (left + right) / 2, (bottom + top) / 2
    (lon,), (lat,) = to_degrees(scene.crs, [x], [y])
    found = {"lon": round(lon, 6), "lat": round(lat, 6)}
    unit = _unit(scene.crs)
    if not all(math.isfinite(v) for v in found.values()):
        found = {}
    return {**found, "x": x * unit, "y": y * unit} if unit else found


def to_degrees(crs: str, xs: Sequence[float], ys: Sequence[float]) -> tuple[list[float], list[float]]:
    """Longitudes and latitudes of points."""
    from rasterio.warp import transform

    lon, lat = transform(crs, "EPSG:4326", list(xs), list(ys))[:2]
    return list(lon), list(lat)


def footprint(scene: Scene) -> Bounds:
    """`(west, south, east, north)` of the item in degrees: the box of its four corners."""
    left, bottom, right, top = bounds(scene)
    lon, lat = to_degrees(scene.crs, [left, right, right, left], [bottom, bottom, top, top])
    return min(lon), min(lat), max(lon), max(lat)


def block(lon: float, lat: float, side: float) -> str:
    """Name of the square of ground a place lies in, about `side` km wide everywhere."""
    step = side * 1000 / METRES_A_DEGREE
    row = math.floor(lat / step)
    across = step / max(0.01, math.cos(math.radians((row + 0.5) * step)))
    return f"{row},{math.floor(lon / across)}"


def transform_of(scene: Scene, step: tuple[float, float]) -> tuple[float, ...]:
    """The affine of the item's grid, `step` native cells a cell along y and x."""
    a, b, _, d, e, _ = scene.transform
    left, _, _, top = bounds(scene)
    return a * step[1], b, left, d, e * step[0], top
