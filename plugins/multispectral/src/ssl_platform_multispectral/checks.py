"""Whether values can be what they are said to be."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ssl_platform.types import Row
from ssl_platform_multispectral.registry import known_channels

_FACTOR = 10.0


def absurd(row: Row, facts: Mapping[str, float]) -> str | None:
    """Why the values of a scene cannot be physical, or None.

    Args:
        row: fitted.
        facts: `min`, `max`, `mean`, `std` of the scene in physical units, and `valid`, the part with data.
    """
    units = {channel.unit for channel in known_channels() if channel.name in row.channels}
    if units == {"reflectance"}:
        if facts["mean"] > 2.0:
            return f"mean reflectance {facts['mean']:.3g}: stored steps that were not scaled? set data.scale"
        if facts["max"] < 0.01:
            return f"no reflectance above {facts['max']:.2g}: scaled twice? set data.scale=1"
        if facts["mean"] < -0.02:
            mean = facts["mean"]
            return f"mean reflectance {mean:.3g}: missing data not marked (data.nodata), or an offset taken off twice?"
    if units == {"dB"} and facts["mean"] > 15.0:
        return f"mean backscatter {facts['mean']:.3g} dB: uncalibrated amplitudes? set data.scale"
    if facts["max"] == facts["min"]:
        return f"every value is {facts['min']:.4g}"
    return None


def unlike_set(facts: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """Scenes whose mean is ten times (or a tenth of) the median; for five or more scenes with positive means."""
    means = {name: item["mean"] for name, item in facts.items()}
    if len(means) < 5 or min(means.values()) <= 0:
        return {}
    median = float(np.median(list(means.values())))
    return {
        name: f"its mean is {value:.3g}, the set's median {median:.3g}"
        for name, value in means.items()
        if not median / _FACTOR <= value <= median * _FACTOR
    }
