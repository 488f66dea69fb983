"""What a scan learns of a scene, and what reading it needs: plain data that travels in a catalog row."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

from ssl_platform.types import Row

SCENE, READING = "scene", "reading"


@dataclass(frozen=True)
class StoredBand:
    """One band as a file has it.

    Attributes:
        file: position in `Scene.files`.
        number: band of that file, from 1.
        name: what the file calls it, or empty.
        dtype: numpy name of the stored type.
        nodata: the file's own value without data, or None.
        scale, offset: the file's own statement, physical = stored * scale + offset, or None.
        low, high: of some stored values that were looked at, or None where nothing was.
    """

    file: int
    number: int
    name: str = ""
    dtype: str = "uint16"
    nodata: float | None = None
    scale: float | None = None
    offset: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Scene:
    """A scene as its files say.

    Attributes:
        files: absolute paths.
        bands: of all files; of a band in several resolutions only the finest.
        height, width: cells of the finest grid, north up.
        transform: of that grid, `(a, b, c, d, e, f)`: x = a * column + b * row + c, y = d * column + e * row + f.
        crs: as text, empty without georeference.
        warped: whether files are not north up (rotated, south up, control points) and are warped while reading.
        masked: whether validity stands in a mask or alpha band.
        sensor: name of the sensor where the files say it, else empty.
        level: processing level (`L1C`, `L2A`, `L2SP`), or empty.
        collection: of Landsat, or empty.
        baseline: Sentinel-2 processing baseline, or empty.
        time: ISO 8601 time of acquisition, or empty.
        box: `(row, column, rows, columns)` of the part of the scene that is this item.
    """

    files: tuple[str, ...]
    bands: tuple[StoredBand, ...]
    height: int
    width: int
    transform: tuple[float, ...]
    crs: str = ""
    warped: bool = False
    masked: bool = False
    sensor: str = ""
    level: str = ""
    collection: str = ""
    baseline: str = ""
    time: str = ""
    box: tuple[int, int, int, int] = (0, 0, 0, 0)

    def part(self, box: tuple[int, int, int, int]) -> Scene:
        """The scene reduced to a part of it."""
        return replace(self, box=box)


@dataclass(frozen=True)
class ReadBand:
    """How one channel is read.

    Attributes:
        file, number: where it is.
        scale, offset: physical = stored * scale + offset.
        decibel: whether stored values are linear power, to be put in dB.
        nodata: stored value without data, or None.
    """

    file: int
    number: int
    scale: float = 1.0
    offset: float = 0.0
    decibel: bool = False
    nodata: float | None = None


@dataclass(frozen=True)
class Reading:
    """How windows of an item are read.

    Attributes:
        bands: one a channel, in order.
        step: native cells of a cell of the item's grid, along y and x.
        fill_all: whether cells count as empty only where every band has its `nodata` (a fill the file does not state).
    """

    bands: tuple[ReadBand, ...]
    step: tuple[float, float] = (1.0, 1.0)
    fill_all: bool = False


def dump(value: Scene | Reading) -> str:
    """Compact text of a scene or a reading."""
    return json.dumps(asdict(value), separators=(",", ":"))


@lru_cache(maxsize=4096)
def _scene(text: str) -> Scene:
    data = _tuples(json.loads(text))
    return Scene(**{**data, "bands": tuple(StoredBand(**band) for band in data["bands"])})


@lru_cache(maxsize=4096)
def _reading(text: str) -> Reading:
    data = _tuples(json.loads(text))
    return Reading(**{**data, "bands": tuple(ReadBand(**band) for band in data["bands"])})


def scene_of(row: Row) -> Scene:
    """The scene of a catalog row."""
    return _scene(str(row.meta[SCENE]))


def reading_of(row: Row) -> Reading:
    """How a fitted row is read."""
    return _reading(str(row.meta[READING]))


def _tuples(data: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
