"""Options left to `auto` that depend on the whole set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ssl_platform.types import Row
from ssl_platform_video.header import Header
from ssl_platform_video.items import CHANNELS, FPS, SHORT_SIDE
from ssl_platform_video.options import VideoOptions
from ssl_platform_video.readers import prove

WINDOW_SECONDS = 2.0
"""What the default window of 16 frames at 8 frames a second takes."""
STORED_BYTES = 1e9
"""Sets whose decoded frames take at most this are decoded once into the cache."""


class _Facts(NamedTuple):
    """What is kept of each video, so that memory stays small for large sets."""

    fps: float
    duration: float
    height: int
    width: int
    variable: bool
    turned: bool
    oblong: bool


def settle(rows: Iterable[Row], options: VideoOptions) -> dict[str, tuple[Any, str]]:
    """Rate, size, stream, decoder and whether decoded frames are kept, for a set.

    The rate is 8 frames a second, or the set's median where that is lower; the short side 64 pixels, or the set's
    median where that is smaller. Decoded frames are kept where they stay under 1 GB.

    Args:
        rows: the scanned set.
        options: as given.

    Returns:
        `{"fps": (value, reason)}`, likewise the others: those that are `auto` and have something to say.

    Raises:
        ConfigError: the decoder asked for does not work here.
    """
    prove(options.decoder)
    facts: list[_Facts] = []
    several, example = 0, ""
    for row in rows:
        found = Header.of(row.meta)
        oblong = abs(found.aspect - 1.0) > 1e-3
        facts.append(_Facts(found.fps, found.duration, *found.shown, found.variable, found.rotation != 0, oblong))
        if found.streams > 1:
            several, example = several + 1, example or f"{row.id} (stream {found.stream})"
    if not facts:
        return {}
    settled: dict[str, tuple[Any, str]] = {}
    table = np.array(facts, dtype=np.float64)
    rates, sides = table[:, 0], table[:, 2:4].min(1)
    if options.fps == "auto":
        brief = sum(f.duration < 0.5 * WINDOW_SECONDS for f in facts)
        told = _counted(sum(f.variable for f in facts), "of variable rate") + _counted(
            brief, "shorter than half a window (padded, the rest is invalid)"
        )
        settled["fps"] = _rate(rates, told)
    if options.short_side == "auto":
        told = _counted(sum(f.turned for f in facts), "turned upright") + _counted(
            sum(f.oblong for f in facts), "with oblong pixels made square"
        )
        settled["short_side"] = _side(sides, told)
    if options.stream == "auto" and several:
        settled["stream"] = ("largest", f"of most pixels; {several} of {len(facts)} files have several, e.g. {example}")
    if options.decoder == "auto":
        settled["decoder"] = ("pyav", "always there, reads every file")
    if options.decoded == "auto":
        fps = settled["fps"][0] if "fps" in settled else options.fps
        side = settled["short_side"][0] if "short_side" in settled else options.short_side
        settled["decoded"] = _stored(table, fps, side)
    return settled


def _rate(rates: np.ndarray, told: str) -> tuple[Any, str]:
    span = f"the videos' own {_range(rates)}{told}"
    median = float(np.median(rates))
    return (FPS, f"16 frames are 2 s; {span}") if median >= FPS else (round(median, 3), f"the median; {span}")


def _side(sides: np.ndarray, told: str) -> tuple[Any, str]:
    side = int(min(SHORT_SIDE, max(16, np.median(sides))))
    why = f"for windows of {SHORT_SIDE} pixels" if side == SHORT_SIDE else "the median"
    return side, f"{why}; the videos' own {_range(sides)}{told}"


def _stored(table: np.ndarray, fps: float | str, side: int | str) -> tuple[Any, str]:
    frames = np.maximum(1, np.rint(table[:, 1] * (table[:, 0] if fps == "native" else float(fps))))
    scale = 1.0 if side == "native" else float(side) / table[:, 2:4].min(1)
    size = float((frames * table[:, 2] * table[:, 3] * scale * scale).sum()) * len(CHANNELS)
    stored = size <= STORED_BYTES
    limit = f"{'under' if stored else 'over'} {STORED_BYTES / 1e9:g} GB"
    return ("stored" if stored else "none"), f"all frames take {size / 1e9:.3g} GB decoded, {limit}"


def _counted(count: int, what: str) -> str:
    return f", {count} {what}" if count else ""


def _range(values: np.ndarray) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
