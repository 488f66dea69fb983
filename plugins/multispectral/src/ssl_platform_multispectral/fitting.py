"""Rows under options and manifest columns: bands named, values explained, the grid decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform.types import Row
from ssl_platform_multispectral.bands import CHANNEL_PART, Named, name_bands
from ssl_platform_multispectral.grid import spacing_of
from ssl_platform_multispectral.options import MultispectralOptions
from ssl_platform_multispectral.scaling import rule_of
from ssl_platform_multispectral.scene import READING, SCENE, ReadBand, Reading, Scene, StoredBand, dump, scene_of

RULE = "rule"
_ALIKE = 1e-3  # a step this near to one native cell reads native cells
_MARKS = frozenset({-9999.0, -99999.0, -32768.0, -32767.0, -28672.0, float(np.finfo(np.float32).min)})


def fit(row: Row, options: MultispectralOptions) -> Row:
    """The row in its final grid, with all that reading needs in `meta`.

    Raises:
        Unreadable: a band, its scale or the size of a cell is not known; names the key that settles it.
    """
    scene = _joined(row) if any(name.startswith(CHANNEL_PART) for name in row.parts) else scene_of(row)
    named = name_bands(row, scene, options)
    if not named:
        raise Unreadable("no band is left to read: data.bands leaves all out")
    channels = tuple(band.channel for band in named)
    double = next((name for name in channels if channels.count(name) > 1), None)
    if double:
        raise Unreadable(f"two of its bands are {double}: name the one to use in data.bands")
    rules = [rule_of(band, row, scene, options) for band in named]
    nodata, assumed = _nodata(named, row, options)
    native = _native(scene, options)
    step = _step(native, options)
    reading = Reading(
        tuple(
            ReadBand(band.stored.file, band.stored.number, rule.scale, rule.offset, rule.decibel, empty)
            for band, rule, empty in zip(named, rules, nodata, strict=True)
        ),
        step,
        assumed,
    )
    shape = tuple(max(1, round(cells / s)) for cells, s in zip(scene.box[2:], step, strict=True))
    words = "; ".join(dict.fromkeys(rule.words for rule in rules))
    return row.replace(
        shape=shape,
        spacing=tuple(n * s for n, s in zip(native, step, strict=True)),
        channels=channels,
        dtype="float32",
        meta={**row.meta, SCENE: dump(scene), READING: dump(reading), RULE: words, "sensor": named[0].sensor.name},
    )


def _joined(row: Row) -> Scene:
    """The scene of an item whose bands are files of their own by a manifest (`path:B02`, `path:B03`..).

    The first file's row stands for all; they share its grid, which was checked when they were joined.
    """
    first = scene_of(row)
    parts = {name.removeprefix(CHANNEL_PART): file for name, file in row.parts.items() if name.startswith(CHANNEL_PART)}
    if set(first.files) == set(parts.values()) and len(first.bands) == len(parts):  # fitted before
        return first
    if len(first.bands) != 1:
        raise Unreadable(f"a file with {len(first.bands)} bands cannot be one channel of a manifest")
    names = [name for name in row.channels if name in parts]
    files = tuple(parts[name] for name in names)
    bands = tuple(_one_of(first.bands[0], number, name) for number, name in enumerate(names))
    return replace(first, files=files, bands=bands)


def _one_of(band: StoredBand, file: int, name: str) -> StoredBand:
    return replace(band, file=file, number=1, name=name)


def _nodata(named: Sequence[Named], row: Row, options: MultispectralOptions) -> tuple[list[float | None], bool]:
    """The value without data of each band, and whether it is assumed of the sensor (then it counts in all bands)."""
    told = row.meta.get("nodata")
    if told is not None and str(told) != "":
        try:
            return [None if str(told) == "none" else float(str(told))] * len(named), False
        except ValueError:
            raise Unreadable(f"manifest column 'nodata' is {told!r}: a number or none") from None
    if options.nodata == "none":
        return [None] * len(named), False
    if options.nodata != "auto":
        return [float(options.nodata)] * len(named), False
    _check_marks(named)
    own = [band.stored.nodata for band in named]
    if all(value is None for value in own):
        fills = [None if b.stored.dtype.startswith("float") else b.sensor.fill for b in named]
        return fills, any(value is not None for value in fills)
    return own, False


def _check_marks(named: Sequence[Named]) -> None:
    """Refuse values that usually mark missing data where neither file nor sensor says that they do.

    Raises:
        Unreadable: the lowest value that was seen is such.
    """
    for band, sensor in ((one.stored, one.sensor) for one in named):
        if band.low in _MARKS and band.low not in (band.nodata, sensor.fill):
            raise Unreadable(
                f"its lowest value {band.low:.6g} usually marks missing data, but the file does not say so: "
                f"set data.nodata={band.low:.6g} (it does) or data.nodata=none, or a manifest column 'nodata'"
            )


def _native(scene: Scene, options: MultispectralOptions) -> tuple[float, float]:
    native = spacing_of(scene)
    if native is not None:
        return native
    if isinstance(options.gsd, float):
        return options.gsd, options.gsd
    raise Unreadable("it has no coordinate system, so the size of its cells is unknown: set data.gsd in metres")


def _step(native: tuple[float, float], options: MultispectralOptions) -> tuple[float, float]:
    """Native cells of a cell of the item's grid along y and x."""
    if not isinstance(options.gsd, float):
        return 1.0, 1.0
    y, x = (options.gsd / n for n in native)
    return (1.0 if abs(y - 1) < _ALIKE else y), (1.0 if abs(x - 1) < _ALIKE else x)
