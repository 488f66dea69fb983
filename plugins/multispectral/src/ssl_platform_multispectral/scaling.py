"""From stored numbers to physical values: one known rule each, said in words, or a refusal that names the key.

Nothing is scaled twice: floating-point values that lie in the physical range already stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from ssl_platform.errors import Unreadable
from ssl_platform.types import Row
from ssl_platform_multispectral.bands import Named
from ssl_platform_multispectral.options import MultispectralOptions
from ssl_platform_multispectral.scene import Scene, StoredBand

# Reflectance rarely passes 2 (sun glint, clouds); stored steps of 1/10000 are in the hundreds even over water, and
# between them lie per cent.
_SCALED, _STEPS = 4.0, 101.0
_OFFSET_SINCE, _OFFSET_DAY = "04.00", "2022-01-25"
_OFFSET = -0.1


@dataclass(frozen=True)
class Rule:
    """How values of a band become physical: `stored * scale + offset`, then decibels where stored is power.

    Attributes:
        scale, offset: as above.
        decibel: whether linear power is put in dB.
        words: for the user.
    """

    scale: float
    offset: float
    words: str
    decibel: bool = False


def rule_of(named: Named, row: Row, scene: Scene, options: MultispectralOptions) -> Rule:
    """The rule for one band.

    Raises:
        Unreadable: none is known for certain; names the key that settles it.
    """
    stored = named.stored
    if options.scale != "auto" or options.offset != "auto":
        scale = 1.0 if options.scale == "auto" else float(options.scale)
        offset = 0.0 if options.offset == "auto" else float(options.offset)
        return Rule(scale, offset, f"values x {scale:g} + {offset:g} as data.scale and data.offset say")
    if named.band.unit == "dB":
        return _radar(stored)
    if stored.dtype.startswith("float") and _physical(stored, named.band.unit):
        return Rule(1.0, 0.0, f"floating-point values in the range of {named.band.unit} already: not scaled again")
    if stored.dtype in ("uint8", "int8") and stored.scale is None:
        note = "" if named.band.unit == "brightness" else ", an 8-bit copy whose physical scale is lost"
        return Rule(1 / 255, 0.0, f"8-bit values / 255{note}")
    if named.sensor.name == "sentinel2":
        return _sentinel2(stored, row, scene, options)
    if stored.scale is not None:
        offset = stored.offset or 0.0
        return Rule(stored.scale, offset, f"values x {stored.scale:g} + {offset:g} as the file says")
    if named.sensor.name == "landsat":
        return _landsat(named, scene)
    if named.sensor.name == "modis":
        return Rule(1e-4, 0.0, "MODIS surface reflectance: values x 0.0001")
    raise Unreadable(
        f"nothing says what its {stored.dtype} values of {named.channel} mean: set data.scale (and data.offset), "
        "physical = stored * scale + offset"
    )


def _physical(stored: StoredBand, unit: str) -> bool:
    """Whether floating-point values are physical already, by those that were seen.

    Raises:
        Unreadable: they are neither.
    """
    high = stored.high
    if high is None or unit == "brightness":
        return True
    if unit == "K":
        return 100.0 <= high <= 400.0
    if high <= _SCALED:
        return True
    if high < _STEPS:
        raise Unreadable(
            f"floating-point values up to {high:g} are neither reflectance nor its stored steps (per cent?): "
            "set data.scale"
        )
    return False


def _radar(stored: StoredBand) -> Rule:
    if not stored.dtype.startswith("float"):
        raise Unreadable(
            f"radar amplitudes as {stored.dtype} are not calibrated: calibrate and terrain-correct to sigma or gamma "
            "nought, or set data.scale"
        )
    if stored.low is not None and stored.low < 0:
        return Rule(1.0, 0.0, "radar backscatter in dB: not converted")
    return Rule(1.0, 0.0, "radar backscatter as linear power: put in dB", decibel=True)


def _sentinel2(stored: StoredBand, row: Row, scene: Scene, options: MultispectralOptions) -> Rule:
    """Values / 10000, less 0.1 since baseline 04.00 (ESA, Sentinel-2 Products Specification Document 14.9).

    A copy may have had the offset taken out, so a baseline that nothing says is not guessed from the date.
    """
    scale = stored.scale if stored.scale is not None else 1e-4
    if stored.offset:
        return Rule(scale, stored.offset, f"values x {scale:g} + {stored.offset:g} as the file says")
    baseline = options.baseline if options.baseline != "auto" else str(row.meta.get("baseline") or scene.baseline)
    if baseline == "none":
        return Rule(scale, 0.0, f"values x {scale:g}, no offset in them")
    if baseline:
        offset = _OFFSET if baseline >= _OFFSET_SINCE else 0.0
        return Rule(scale, offset, f"baseline {baseline}: values x {scale:g}{' - 0.1' if offset else ', no offset'}")
    if scene.time and scene.time[:10] < _OFFSET_DAY and stored.scale is not None:
        return Rule(scale, 0.0, f"taken before {_OFFSET_DAY}: values x {scale:g} as the file says, no offset")
    when = f"of {scene.time[:10]}" if scene.time else "of unknown date"
    raise Unreadable(
        f"Sentinel-2 {when} without a processing baseline: since 04.00 ({_OFFSET_DAY}) an offset of 1000 is in the "
        "values; set data.baseline=05.00 (it is), data.baseline=none (it is not), or a manifest column 'baseline'"
    )


def _landsat(named: Named, scene: Scene) -> Rule:
    """Collection 2 level 2 (USGS, Landsat 8-9 Collection 2 Level 2 Science Product Guide)."""
    second = scene.collection == "02" or named.stored.name.upper().startswith(("SR_", "ST_"))
    if scene.level.startswith("L2") or (second and not scene.level):
        if second and named.band.unit == "K":
            return Rule(0.00341802, 149.0, "Landsat collection 2 level 2: values x 0.00341802 + 149 K")
        if second:
            return Rule(2.75e-5, -0.2, "Landsat collection 2 level 2: values x 0.0000275 - 0.2")
        if scene.collection == "01":
            return Rule(1e-4, 0.0, "Landsat collection 1 level 2: values x 0.0001")
    raise Unreadable(
        f"Landsat {scene.level or 'of unknown level'} without its MTL file: keep *_MTL.txt beside the bands, or set "
        "data.scale and data.offset"
    )
