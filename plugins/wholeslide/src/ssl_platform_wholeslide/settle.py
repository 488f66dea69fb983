"""Options left to `auto` that depend on the whole set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform.types import Row
from ssl_platform_wholeslide.items import stored_mpp
from ssl_platform_wholeslide.options import WholeSlideOptions
from ssl_platform_wholeslide.pyramid import SAME_SCALE

USUAL = 0.5
"""Microns a pixel of a 20x objective, which most published encoders were trained at."""
_SHARE = 0.75


def settle(rows: Iterable[Row], options: WholeSlideOptions) -> dict[str, tuple[Any, str]]:
    """The scale windows are read at, and that of slides which store none.

    `mpp`: 0.5, unless more than a quarter of the slides are coarser; then what three quarters of them reach. Detail
    that was not scanned is never invented: coarser slides are refused by name. `missing_mpp`: a `data.mpp` that was
    given, where some slide stores none.

    Returns:
        `{name: (value, reason)}`: those that are `auto` and have a rule.
    """
    known, missing = [], 0
    for row in rows:
        try:
            stored = stored_mpp(row)
        except Unreadable:
            continue
        if stored is None:
            missing += 1
            stored = (options.missing_mpp,) * 2 if isinstance(options.missing_mpp, float) else None
        if stored is not None:
            known.append(max(stored))
    settled: dict[str, tuple[Any, str]] = {}
    if options.mpp == "auto" and known:
        settled["mpp"] = _scale(np.array(known))
    if missing and options.missing_mpp == "auto" and isinstance(options.mpp, float):
        slides = f"{missing} slide{'s store' if missing != 1 else ' stores'} no microns a pixel"
        settled["missing_mpp"] = (options.mpp, f"{slides}: taken to be data.mpp at full resolution")
    return settled


def _scale(known: np.ndarray) -> tuple[float, str]:
    text = f"{known.min():.4g}" if known.min() == known.max() else f"{known.min():.4g} to {known.max():.4g}"
    slides = f"{len(known)} slide{'s' * (len(known) != 1)} of {text} um a pixel at full resolution"
    reached = float(np.quantile(known, _SHARE, method="inverted_cdf"))
    if reached <= USUAL * (1 + SAME_SCALE):
        return USUAL, f"20x, the usual scale; {slides}"
    return round(reached, 4), f"what three quarters reach of {slides}"
