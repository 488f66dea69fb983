"""Where the windows of one sample lie in a recording."""

from __future__ import annotations

import numpy as np

from ssl_platform.types import Row, Window


def apart(row: Row, first: Window, gap: float | None, uniforms: np.ndarray) -> Window:
    """A window of the size of `first` from another moment of the recording.

    Every start at least `gap` seconds from the first is equally likely; without a gap the windows do not overlap. Where
    the recording is too short for that, the start farthest from the first is taken.

    Args:
        row: the recording.
        first: a window of it.
        gap: least seconds between the starts of the windows, or None.
        uniforms: at least one number in `[0, 1)`.
    """
    size, start = first.size[-1], first.start[-1]
    slack = row.shape[-1] - size
    low, high = min(slack, 0), max(slack, 0)
    least = size if gap is None else max(1, round(gap / row.spacing[-1]))
    before, after = max(0, start - least - low + 1), max(0, high - (start + least) + 1)
    if before + after == 0:
        return Window((first.start[0], low if start - low > high - start else high), first.size)
    chosen = int(uniforms[0] * (before + after))
    return Window((first.start[0], low + chosen if chosen < before else start + least + chosen - before), first.size)
