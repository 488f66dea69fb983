"""Options left to `auto` that depend on the whole set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform.types import Row
from ssl_platform_medical3d import intensity
from ssl_platform_medical3d.items import header_of, modality_of
from ssl_platform_medical3d.options import Medical3DOptions, parse_spacing
from ssl_platform_medical3d.readers import reader_of

# Within this fraction of the median the items' own spacing is kept: interpolation would only blur them.
_ALIKE = 0.1
_LOOKS = 8
# As `ssl_platform.data.unlike` does: up to a quarter of the usual kind is taken for a mistake.
_STRAYS = 0.25


def settle(rows: Iterable[Row], options: Medical3DOptions) -> dict[str, tuple[Any, str]]:
    """Spacing and modality for a set.

    Spacing: none is changed where all items lie within 10 % of the median along each axis; else all are resampled to
    the median. Modality: where no file names one, the values of up to eight items decide whether they are HU;
    where files name CT and other kinds, all are mapped to [0, 1], since one encoder cannot take HU and percentiles for
    one thing. Padding: on where some items lack a channel that others have.

    Args:
        rows: the scanned set, in its own spacing.
        options: as given.

    Returns:
        `{"spacing": (value, reason)}`, likewise `modality` and `pad_channels`: those that are `auto` and have a rule.
    """
    spacings: list[tuple[float, ...]] = []
    modalities: Counter[str] = Counter()
    unknown: list[Row] = []
    lacking = 0
    for row in rows:
        lacking += bool(row.parts) and len(row.parts) < len(row.channels)
        text = row.meta.get("spacing") or row.meta.get("native_spacing")
        if text:
            spacings.append(parse_spacing(text))
        modality = modality_of(row, options)
        modalities[modality or ""] += 1
        if modality is None and len(unknown) < _LOOKS:
            unknown.append(row)
    settled: dict[str, tuple[Any, str]] = {}
    if options.spacing == "auto" and spacings:
        settled["spacing"] = _spacing(np.array(spacings))
    if options.modality == "auto" and set(modalities) == {""} and unknown:
        found = _looks_like_ct(unknown, options)
        if found:
            settled["modality"] = ("ct", found)
    elif options.modality == "auto" and _mixed(modalities):
        counts = ", ".join(f"{count} {name or 'unknown'}" for name, count in modalities.most_common())
        settled["modality"] = ("intensity", f"the set is mixed ({counts}): all mapped to [0, 1] by percentiles")
    if options.pad_channels == "auto" and lacking:
        settled["pad_channels"] = (True, f"{lacking} items lack a channel that others have")
    return settled


def _mixed(modalities: Counter[str]) -> bool:
    """Whether a set holds CT and others in earnest: a few of one kind are strays, which the scan sets aside by name."""
    ct = modalities["ct"]
    few, many = sorted((ct, modalities.total() - ct))
    return few > _STRAYS * many


def _spacing(spacings: np.ndarray) -> tuple[Any, str]:
    median = np.median(spacings, axis=0)
    text = "x".join(f"{mm:.3g}" for mm in median)
    away = np.abs(spacings / median - 1.0).max()
    if away <= _ALIKE:
        return "native", f"all {len(spacings)} items lie within 10 % of {text} mm: none is resampled"
    value = [round(float(mm), 4) for mm in median]
    return value, f"median of {len(spacings)} items, which range over {_range(spacings)} mm"


def _range(spacings: np.ndarray) -> str:
    low, high = spacings.min(axis=0), spacings.max(axis=0)
    return " x ".join(f"{a:.3g}" if a == b else f"{a:.3g}-{b:.3g}" for a, b in zip(low, high, strict=True))


def _looks_like_ct(rows: Sequence[Row], options: Medical3DOptions) -> str | None:
    """Why the values are Hounsfield units, or None: whole numbers from air (below -500) to bone (above 150)."""
    seen = 0
    for row in rows:
        try:
            header = header_of(row, options)
            values = reader_of(Path(row.path)).read_voxels(header, 0)
            valid = intensity.finite(values)
            facts = intensity.statistics(values[0], valid, (0.5, 99.5))
        except Unreadable:
            continue
        if not (-4096 <= facts["min"] <= -500 and 150 <= facts["max"] <= 20_000 and -1100 < facts["median"] < 500):
            return None
        seen += 1
    return f"values of {seen} items looked at reach from air to bone in HU (no file names a modality)" if seen else None
