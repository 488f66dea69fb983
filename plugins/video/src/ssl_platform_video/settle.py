"""Options left to `auto` that depend on the whole set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ssl_platform.types import Row
from ssl_platform_video.header import Header
from ssl_platform_video.items import FPS, SHORT_SIDE, decoded_bytes, fit
from ssl_platform_video.options import VideoOptions
from ssl_platform_video.readers import prove

STORED_BYTES = 1e9
"""Sets whose decoded frames take at most this are decoded once into the cache."""


def settle(rows: Iterable[Row], options: VideoOptions) -> dict[str, tuple[Any, str]]:
    """Rate, size, decoder and whether decoded frames are kept, for a set.

    The rate is 8 frames a second, or the set's median where that is lower; the short side 64 pixels, or the set's
    median where that is smaller. Decoded frames are kept where they stay under 1 GB.

    Args:
        rows: the scanned set.
        options: as given.

    Returns:
        `{"fps": (value, reason)}`, likewise the others: those that are `auto`.

    Raises:
        ConfigError: the decoder asked for does not work here.
    """
    prove(options.decoder)
    kept = list(rows)
    if not kept:
        return {}
    sources = [Header.of(row.meta) for row in kept]
    settled: dict[str, tuple[Any, str]] = {}
    if options.fps == "auto":
        rates = np.array([found.fps for found in sources])
        span = f"the videos' own range over {_range(rates)}"
        median = float(np.median(rates))
        settled["fps"] = (
            (FPS, f"16 frames are 2 s; {span}") if median >= FPS else (round(median, 3), f"the median; {span}")
        )
    if options.short_side == "auto":
        sides = np.array([min(found.shown) for found in sources])
        side = int(min(SHORT_SIDE, max(16, np.median(sides))))
        why = "for windows of 64 pixels" if side == SHORT_SIDE else "the median"
        settled["short_side"] = (side, f"{why}; the videos' own range over {_range(sides)}")
    if options.decoder == "auto":
        settled["decoder"] = ("pyav", "always there, reads every file")
    if options.decoded == "auto":
        final = options.model_copy(update={name: value for name, (value, _) in settled.items()})
        size = sum(decoded_bytes(fit(row, final)) for row in kept)
        stored = size <= STORED_BYTES
        limit = f"{'under' if stored else 'over'} {STORED_BYTES / 1e9:g} GB"
        settled["decoded"] = (
            "stored" if stored else "none",
            f"all frames take {size / 1e9:.3g} GB decoded, {limit}",
        )
    return settled


def _range(values: np.ndarray) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
