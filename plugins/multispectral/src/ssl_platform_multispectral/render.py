"""A scene as its people look at it: true colour where there is any, else the bands by brightness, stretched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

_COLOURS = (660.0, 560.0, 490.0)
_NEAR = 60.0  # nm that a band may lie off a colour


def render(x: np.ndarray, channels: Sequence[str], wavelengths: Mapping[str, float | None]) -> np.ndarray:
    """A picture, each colour stretched from its 2nd to its 98th percentile.

    Args:
        x: `[C, H, W]`.
        channels: names, length C.
        wavelengths: in nm by channel name.

    Returns:
        `[H, W, 3]` uint8; of radar VV, VH and their difference; `[H, W]` of the first channel else.
    """
    values = np.nan_to_num(np.asarray(x, dtype=np.float32))
    numbers = _true_colour([wavelengths.get(name) for name in channels])
    if numbers:
        return _stretched(values[numbers])
    radar = [n for n, name in enumerate(channels) if name.rpartition("-")[2] in ("VV", "VH", "HH", "HV")]
    if len(radar) >= 2:
        first, second = values[radar[0]], values[radar[1]]
        return _stretched(np.stack([first, second, first - second]))
    return _stretched(values[:1])[..., 0]


def _true_colour(wavelengths: Sequence[float | None]) -> list[int]:
    """The channels nearest to red, green and blue, or none."""
    found = []
    for colour in _COLOURS:
        distances = [abs(w - colour) if w is not None else np.inf for w in wavelengths]
        nearest = int(np.argmin(distances)) if distances else 0
        if not distances or distances[nearest] > _NEAR:
            return []
        found.append(nearest)
    return found if len(set(found)) == 3 else []


def _stretched(values: np.ndarray) -> np.ndarray:
    """`[C, H, W]` to `[H, W, C]` uint8."""
    low, high = np.percentile(values.reshape(len(values), -1), (2, 98), axis=1)[:, :, None, None]
    unit = ((values - low) / np.maximum(high - low, 1e-6)).clip(0.0, 1.0)
    return np.asarray((unit * 255).round().astype(np.uint8).transpose(1, 2, 0))
