"""The `window` and `time` columns: the part of an item a row of a table speaks of, and when it was taken."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from ssl_platform.errors import DataError

Box = tuple[tuple[float, float], ...]


def parse_box(text: str, where: str) -> Box:
    """Bounds along each axis from `z0:z1,y0:y1,x0:x1` (source voxels) or `t0:t1` (seconds, `s` may follow).

    Args:
        text: the value.
        where: its place, for the message.

    Raises:
        DataError: it cannot be read, or an end is not behind its start.
    """
    bounds = []
    for axis in text.replace(" ", "").split(","):
        start, colon, end = axis.removesuffix("s").partition(":")
        try:
            low, high = float(start.removesuffix("s")), float(end)
        except ValueError:
            low, high = math.nan, math.nan
        if not (colon and math.isfinite(low) and math.isfinite(high)):
            raise DataError(f"{where}: window {text!r} is not z0:z1,y0:y1,x0:x1 (voxels) or t0:t1 (seconds)")
        if not 0 <= low < high:
            raise DataError(f"{where}: window {text!r} needs 0 <= start < end along each axis")
        bounds.append((low, high))
    return tuple(bounds)


def box_text(box: Box | None) -> str:
    """The window as a table holds it; empty for the whole item."""
    return ",".join(f"{low:.10g}:{high:.10g}" for low, high in box or ())


def parse_time(text: str, where: str) -> float:
    """Seconds since 1970 (UTC) of an ISO 8601 date or time; without a zone it is taken as UTC.

    Raises:
        DataError: it is not ISO 8601.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise DataError(f"{where}: time {text!r} is not ISO 8601, such as 2024-05-01 or 2024-05-01T10:30:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
