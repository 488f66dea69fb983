"""What values of a point are called in files, and what they are here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

COORDINATES = ("x", "y", "z")
COLOUR = ("red", "green", "blue")
NORMAL = ("nx", "ny", "nz")
INTENSITY = ("intensity",)
GROUPS = {"colour": COLOUR, "normal": NORMAL, "intensity": INTENSITY}
FEATURES = (*COLOUR, *NORMAL, *INTENSITY)
LABELS = (
    "label",
    "labels",
    "classification",
    "class",
    "class_id",
    "part",
    "part_label",
    "semantic",
    "segment",
    "segment20",
    "object",
    "instance",
)

_ALIASES = {
    "r": "red",
    "g": "green",
    "b": "blue",
    "diffuse_red": "red",
    "diffuse_green": "green",
    "diffuse_blue": "blue",
    "normal_x": "nx",
    "normal_y": "ny",
    "normal_z": "nz",
    "normalx": "nx",
    "normaly": "ny",
    "normalz": "nz",
    "normals_0": "nx",
    "normals_1": "ny",
    "normals_2": "nz",
    "reflectance": "intensity",
    "i": "intensity",
}
RANGES = (1.0, 255.0, 65535.0)


def canonical(name: str) -> str:
    """One spelling for a field: `R`, `diffuse_red` and `scalar_Red` (CloudCompare) are `red`."""
    word = name.strip().strip('"').lower().removeprefix("//").removeprefix("#").strip()
    word = word.removeprefix("scalar_").replace(" ", "_")
    return _ALIASES.get(word, word)


def label_of(names: Iterable[str]) -> str | None:
    """The field that holds labels of points, or None."""
    known = set(names)
    return next((name for name in LABELS if name in known), None)


def features_of(names: Sequence[str], wanted: Sequence[str] | None = None) -> tuple[str, ...]:
    """The fields of a file that become channels, in one order for all files.

    Colours and normals count only when all three are there. Labels never become channels unless asked for by name.

    Args:
        names: canonical names in the file.
        wanted: `data.features`: names of fields or of `GROUPS`; None for all known features.
    """
    asked = list(FEATURES) if wanted is None else [f for name in wanted for f in GROUPS.get(name, (canonical(name),))]
    whole = {f for group in (COLOUR, NORMAL) if set(group) <= set(names) for f in group}
    partial = set(COLOUR + NORMAL) - whole
    return tuple(dict.fromkeys(f for f in asked if f in names and f not in partial))


def unpack_colour(packed: np.ndarray) -> dict[str, np.ndarray]:
    """Red, green and blue of PCL's packed `rgb` and `rgba` (uint32, or its bits as float32), as uint8."""
    bits = np.ascontiguousarray(packed)
    whole = bits.view(np.uint32) if bits.dtype.itemsize == 4 else bits.astype(np.uint32)
    return {name: (whole >> shift & 255).astype(np.uint8) for name, shift in zip(COLOUR, (16, 8, 0), strict=True)}


def colour_range(largest: float, dtype: str) -> float:
    """The value that stands for full colour, from the largest value seen and the stored type.

    Bytes have 255. Wider integers have 255 too where nothing exceeds it: many writers store bytes in the 16-bit fields
    of LAS. Floats have 1, 255 or 65535, the least that nothing exceeds.
    """
    if dtype in ("uint8", "int8"):
        return 255.0
    allowed = RANGES if np.issubdtype(np.dtype(dtype), np.floating) else RANGES[1:]
    return next((full for full in allowed if largest <= full * 1.0001), allowed[-1])
