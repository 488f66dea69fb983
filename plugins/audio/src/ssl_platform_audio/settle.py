"""Options left to `auto` that depend on the whole set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from ssl_platform.types import Row
from ssl_platform_audio.items import native_rate
from ssl_platform_audio.options import AudioOptions
from ssl_platform_audio.spectrum import USUAL_RATE


def settle(rows: Iterable[Row], options: AudioOptions) -> dict[str, tuple[Any, str]]:
    """The sample rate of a set: its most common one, but at most 16 kHz.

    Returns:
        `{"sample_rate": (Hz, reason)}` where it is `auto`.
    """
    if options.sample_rate != "auto":
        return {}
    rates = Counter(round(native_rate(row)) for row in rows)
    if not rates:
        return {}
    most = max(rates, key=lambda rate: (rates[rate], rate))
    chosen = min(most, USUAL_RATE)
    total = rates.total()
    if len(rates) == 1:
        why = f"all {total} items are at {most} Hz"
    else:
        listed = ", ".join(f"{count} at {rate}" for rate, count in rates.most_common(4))
        why = f"items: {listed}{', ...' if len(rates) > 4 else ''} Hz"
    lower = sum(count for rate, count in rates.items() if rate < chosen)
    if lower:
        why += f"; the upper bands of {lower} at lower rates stay empty"
    return {"sample_rate": (chosen, why)}
