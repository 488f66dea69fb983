"""Microns a pixel as files state them, and whether that can be true."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from ssl_platform_wholeslide.options import COARSEST, FINEST

_MICRONS = {"µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}


def stated(properties: Mapping[str, Any], prefix: str) -> tuple[tuple[float, float] | None, str]:
    """`(y, x)` microns a pixel of a reader's properties, or None and why.

    Args:
        properties: of the slide.
        prefix: `openslide` or `tiffslide`.
    """
    found = [_number(properties.get(f"{prefix}.mpp-{axis}")) for axis in "yx"]
    if found[0] is None or found[1] is None:
        return None, ""
    return believed(found[0], found[1])


def believed(y: float, x: float) -> tuple[tuple[float, float] | None, str]:
    """The scale if a microscope may have it, else None and a note."""
    if all(FINEST <= value <= COARSEST for value in (y, x)):
        return (y, x), ""
    return None, f"the stored {max(y, x):.4g} um a pixel is no microscope's (a print resolution?)"


def power_of(properties: Mapping[str, Any], prefix: str) -> float | None:
    """Objective power, or None."""
    return _number(properties.get(f"{prefix}.objective-power"))


def ome_scale(xml: str) -> tuple[tuple[float, float] | None, str]:
    """`(y, x)` microns a pixel of the first image of an OME-XML description, or None and why."""
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return None, "its OME-XML cannot be parsed"
    pixels = next((node for node in root.iter() if node.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None:
        return None, ""
    values = []
    for axis in "YX":
        size = _number(pixels.get(f"PhysicalSize{axis}"))
        unit = _MICRONS.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        if size is None or unit is None:
            return None, ""
        values.append(size * unit)
    return believed(values[0], values[1])


def tiles_of(properties: Mapping[str, Any], prefix: str, levels: int) -> tuple[tuple[int, int], ...]:
    """`(height, width)` of the tiles of each level, `(0, 0)` where the reader does not say."""

    def side(level: int, axis: str) -> int:
        return int(_number(properties.get(f"{prefix}.level[{level}].tile-{axis}")) or 0)

    return tuple((side(level, "height"), side(level, "width")) for level in range(levels))


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None
