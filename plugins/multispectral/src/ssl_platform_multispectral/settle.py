"""Options left to `auto` that depend on the whole set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from ssl_platform.types import Row
from ssl_platform_multispectral.fitting import RULE
from ssl_platform_multispectral.grid import spacing_of
from ssl_platform_multispectral.options import MultispectralOptions
from ssl_platform_multispectral.place import repeated
from ssl_platform_multispectral.scene import reading_of, scene_of

_ALIKE = 0.1
_COARSE = 2.0  # cells this many times as large as those read show no detail of their own
# As `ssl_platform.data.unlike` does: up to a quarter of the usual kind is taken for a mistake.
_STRAYS = 0.25


def settle(rows: Iterable[Row], options: MultispectralOptions) -> dict[str, tuple[Any, str]]:
    """Cell size and padding for a set, and in words what was understood of bands, values and missing data.

    Cell size: none is changed where all scenes lie within 10 % of their median; else all are resampled to the median.
    Padding: on where band sets differ in earnest; a few of another kind are strays that the scan sets aside by name.

    Args:
        rows: the fitted set.
        options: as given.

    Returns:
        By option: value and reason. `data.scale` stays what it was: its reason says which rules were applied.
    """
    spacings: list[float] = []
    rules: Counter[str] = Counter()
    sets: Counter[tuple[str, ...]] = Counter()
    fills: Counter[str] = Counter()
    kept: list[Row] = []
    for row in rows:
        if not options.revisit and scene_of(row).crs:
            kept.append(row)
        native = spacing_of(scene_of(row))
        if native is not None:
            spacings.append(float(np.sqrt(native[0] * native[1])))
        rules[str(row.meta[RULE])] += 1
        sets[row.channels] += 1
        fills[_fill(row)] += 1
    settled: dict[str, tuple[Any, str]] = {}
    if options.gsd == "auto" and spacings:
        settled["gsd"] = _gsd(np.array(spacings))
    if options.pad_bands == "auto" and _differ(sets):
        kinds = ", ".join(f"{count} with {len(names)}" for names, count in sets.most_common(4))
        settled["pad_bands"] = (True, f"band sets differ: {kinds}; scenes are padded to all bands, with band validity")
    if options.scale == "auto" and options.offset == "auto" and rules:
        settled["scale"] = ("auto", "; ".join(f"{_scenes(n)}: {words}" for words, n in rules.most_common()))
    if options.nodata == "auto" and fills:
        settled["nodata"] = ("auto", "; ".join(f"{_scenes(n)}: {words}" for words, n in fills.most_common()))
    twice = repeated(kept)
    if twice:
        settled["revisit"] = (
            False,
            f"{_scenes(len(twice))} {'lie' if len(twice) > 1 else 'lies'} wholly inside others of the same day and "
            f"bands, such as {twice[0]}: such ground is drawn from each of them; leave out what is a copy",
        )
    return settled


def _differ(sets: Counter[tuple[str, ...]]) -> bool:
    if len(sets) < 2:
        return False
    (_, most), (_, next_most) = sets.most_common(2)
    return next_most > _STRAYS * most


def _gsd(spacings: np.ndarray) -> tuple[Any, str]:
    median = float(np.median(spacings))
    low, high = float(spacings.min()), float(spacings.max())
    if max(high / median, median / low) <= 1 + _ALIKE:
        return "native", f"all {len(spacings)} scenes lie within 10 % of {median:.3g} m: none is resampled"
    coarse = int((spacings > _COARSE * median).sum())
    told = f"; {_scenes(coarse)} enlarged up to {high / median:.3g} times" if coarse else ""
    return round(median, 3), f"median of {len(spacings)} scenes of {low:.3g} to {high:.3g} m{told}"


def _fill(row: Row) -> str:
    """What counts as missing in a row, in words."""
    reading, scene = reading_of(row), scene_of(row)
    values = {band.nodata for band in reading.bands if band.nodata is not None}
    shown = ", ".join(f"{value:g}" for value in sorted(values))
    if scene.masked:
        return "the file's mask" + (f" and {shown}" if shown else "")
    if not values:
        return "nothing is said to be missing"
    return f"{shown} in all bands, the sensor's fill" if reading.fill_all else f"{shown}, as the file says"


def _scenes(count: int) -> str:
    return f"{count} scene" if count == 1 else f"{count} scenes"
