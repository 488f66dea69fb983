"""LAS and LAZ through laspy, chunk by chunk: a point cloud of a whole town never lies in memory at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_pointcloud.cloud import Cloud, Header

CHUNK = 1_000_000
_UNITS = {9001: 1.0, 9002: 0.3048, 9003: 1200 / 3937}  # EPSG: metre, foot, US survey foot
_MODEL, _LINEAR, _VERTICAL = 1024, 3076, 4099  # GeoTIFF keys
_GEOGRAPHIC = 2
_UNIT = re.compile(r'(?:LENGTH)?UNIT\["[^"]+",\s*([\d.eE+-]+)')
_FIELDS = ("intensity", "red", "green", "blue", "classification")


def read_header(path: Path) -> Header:
    """Points, fields and unit from the header.

    Raises:
        Unreadable: it is no LAS file, or its coordinates are degrees.
    """
    with _open(path) as file:
        head = file.header
        names = tuple(name for name in _FIELDS if name in set(head.point_format.dimension_names))
        extra = tuple(str(name).lower() for name in head.point_format.extra_dimension_names)
        unit = unit_of(head)
        return Header("las", int(head.point_count), fields=(*names, *extra), finite=True, unit=unit)


def read(path: Path, number: int = 0, step: int = 1) -> Cloud:
    """Every `step`-th point.

    Raises:
        Unreadable: it is truncated or damaged.
    """
    places, columns, seen = [], dict[str, list[np.ndarray]](), 0
    with _open(path) as file:
        names = set(file.header.point_format.dimension_names)
        extra = {str(n): str(n).lower() for n in file.header.point_format.extra_dimension_names}
        wanted = {**{name: name for name in _FIELDS if name in names}, **extra}
        try:
            for points in file.chunk_iterator(CHUNK):
                kept = slice(-seen % step, None, step)
                seen += len(points)
                places.append(np.stack([np.asarray(points[axis])[kept] for axis in "xyz"], axis=1, dtype=np.float64))
                for stored, name in wanted.items():
                    columns.setdefault(name, []).append(np.asarray(points[stored])[kept])
        except Exception as error:  # laspy and lazrs raise whatever they meet in damaged data
            raise Unreadable(f"truncated or damaged after {seen:,} points ({_line(error)})") from None
        if seen < file.header.point_count:
            raise Unreadable(f"truncated: {seen:,} of {file.header.point_count:,} points")
    return Cloud(np.concatenate(places), {name: np.concatenate(parts) for name, parts in columns.items()})


def sample_of(path: Path, count: int = 50_000) -> Cloud:
    """The first points, to look at their values."""
    with _open(path) as file:
        names = [n for n in _FIELDS if n in set(file.header.point_format.dimension_names)]
        try:
            points = next(iter(file.chunk_iterator(count)))
        except Exception as error:
            raise Unreadable(f"truncated or damaged at its first points ({_line(error)})") from None
        xyz = np.stack([np.asarray(points[axis]) for axis in "xyz"], axis=1, dtype=np.float64)
        return Cloud(xyz, {name: np.asarray(points[name]) for name in names})


def unit_of(header: Any) -> tuple[float, float, float] | None:
    """Metres per unit along x, y, z from the coordinate system, or None where there is none.

    Raises:
        Unreadable: the coordinates are degrees.
    """
    for record in header.vlrs:
        text = getattr(record, "string", None)
        if isinstance(text, str) and text.strip("\0 "):
            return _of_wkt(text)
    for record in header.vlrs:
        keys = {key.id: key.value_offset for key in getattr(record, "geo_keys", ())}
        if keys.get(_MODEL) == _GEOGRAPHIC:
            raise Unreadable(_DEGREES)
        if keys:
            flat = _UNITS.get(keys.get(_LINEAR, 0))
            return None if flat is None else (flat, flat, _UNITS.get(keys.get(_VERTICAL, 0), flat))
    return None


_DEGREES = "its coordinates are degrees: reproject it to a system in metres (PDAL: filters.reprojection)"


def _of_wkt(text: str) -> tuple[float, float, float] | None:
    """Units of the projected and the vertical part of a coordinate system in well-known text, version 1 or 2."""
    projected = re.search(r"PROJ(?:CS|CRS)\[", text)
    if projected is None:
        if re.search(r"GEO(?:GCS|GCRS|DCRS|GRAPHICCRS)\[", text):
            raise Unreadable(_DEGREES)
        return None
    vertical = re.search(r"VERT(?:_CS|CRS)\[", text)
    flat = _last_unit(text[projected.start() : vertical.start() if vertical else len(text)])
    if flat is None:
        return None
    return flat, flat, (_last_unit(text[vertical.start() :]) or flat) if vertical else flat


def _last_unit(text: str) -> float | None:
    """The unit that stands last is the projection's: those of its datum come before."""
    found = _UNIT.findall(re.sub(r'ANGLEUNIT\[[^\]]*\]|UNIT\["[dD]egree[^\]]*', "", text))
    return float(found[-1]) if found else None


def _open(path: Path) -> Any:
    import laspy

    try:
        return laspy.open(path)
    except OSError:
        raise
    except Exception as error:
        raise Unreadable(f"not a readable LAS file ({_line(error)})") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
