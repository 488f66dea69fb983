"""How loud an item is, frame by frame and as a whole, and what is odd about that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

FULL_SCALE = 32_768.0
_SILENCE_DB = -60.0  # below the item's loudest frame
_UNLIKE_DB = 40.0
_CANCELLED = 0.1


@dataclass(frozen=True)
class Level:
    """Mean and greatest deviation from it, over the finite samples of a waveform.

    Attributes:
        mean: in units of full scale.
        peak: likewise.
        count: finite samples.
    """

    mean: float
    peak: float
    count: int

    @classmethod
    def of(cls, pieces: Iterable[np.ndarray]) -> Level:
        """In one pass over `[n]` pieces."""
        total, count, low, high = 0.0, 0, np.inf, -np.inf
        for piece in pieces:
            finite = np.isfinite(piece)
            known = piece if finite.all() else piece[finite]
            if known.size:
                total, count = total + float(known.sum(dtype=np.float64)), count + known.size
                low, high = min(low, float(known.min())), max(high, float(known.max()))
        if not count:
            return cls(0.0, 0.0, 0)
        mean = low if low == high else total / count
        return cls(mean, max(high - mean, mean - low), count)


def frame_levels(values: np.ndarray, hop: int) -> np.ndarray:
    """`[T]` float32 level of each frame in dB of full scale, of `[samples]` int16."""
    frames = max(1, len(values) // hop)
    pieces = [values[: frames * hop].reshape(frames, -1)[i : i + 4096] for i in range(0, frames, 4096)]
    power = np.concatenate([np.square(p, dtype=np.float32).mean(axis=1) for p in pieces])
    return np.asarray(10.0 * np.log10(np.maximum(power, 1e-2) / FULL_SCALE**2))


def sounding(levels: np.ndarray) -> np.ndarray:
    """`[T]` bool: frames within 60 dB of the item's loudest."""
    return np.asarray(levels > levels.max() + _SILENCE_DB)


def mean_level(levels: np.ndarray) -> float:
    """Level of the whole item in dB of full scale."""
    return float(10.0 * np.log10(np.mean(10.0 ** (levels.astype(np.float64) / 10.0))))


def cancels(channels: np.ndarray) -> bool:
    """Whether `[n, C]` channels are in opposite phase, so that hardly anything is left of their mean."""
    loudest = np.sqrt(np.square(channels, dtype=np.float64).mean(axis=0)).max()
    return bool(np.sqrt(np.square(channels.mean(axis=1), dtype=np.float64).mean()) < _CANCELLED * loudest)


def odd(facts: Mapping[str, float]) -> str | None:
    """Why the values of an item, of which `facts` are statistics, are odd; None where they are not."""
    if facts.get("lost"):
        return f"{facts['lost']:,.0f} of its samples are NaN or infinite: they count as missing"
    if facts.get("cancelled"):
        return "its channels cancel each other when mixed: set data.mixdown=first"
    if facts.get("gain", 1.0) < 1.0:
        return f"peaks reach {1.0 / facts['gain']:.3g} times full scale: the whole item was scaled down to it"
    if abs(facts.get("offset", 0.0)) > 0.1:
        return f"a constant offset of {100 * facts['offset']:.0f} % of full scale was taken off"
    if facts.get("sound", 1.0) < 0.02:
        return f"{100 * (1 - facts['sound']):.0f} % of it is silence"
    return None


def unlike_set(facts: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """Items 40 dB and more away from the median level of their set: a line each, by id."""
    levels = {item: found["level_db"] for item, found in facts.items() if "level_db" in found}
    if len(levels) < 3:
        return {}
    middle = float(np.median(list(levels.values())))
    return {
        item: f"{abs(level - middle):.0f} dB {'louder' if level > middle else 'quieter'} than the median of its set"
        for item, level in levels.items()
        if abs(level - middle) > _UNLIKE_DB
    }
