"""Items that cannot be used: counted, listed with the reason, and never fatal until they are too many."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ssl_platform.data.files import replace_file
from ssl_platform.errors import DataError, SslPlatformError

SCAN_LISTS = "ssl-platform scan lists all"

MaxBad = float | Literal["auto"]
"""`data.max_bad_fraction`."""
_SHARE, _FEW = 0.05, 3


@dataclass(frozen=True)
class Quarantined:
    """One item that cannot be used.

    Attributes:
        path: file or folder.
        reason: one line.
    """

    path: str
    reason: str


def one_line(error: BaseException) -> str:
    """The reason of an error as one short line; errors not raised on purpose keep their type's name."""
    text = " ".join(str(error).split())[:300]
    if isinstance(error, SslPlatformError):
        return text
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def write_quarantine(items: Sequence[Quarantined], path: Path) -> None:
    """Write `quarantine.csv` with the columns path and reason, atomically."""
    with replace_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(("path", "reason"))
        table.writerows((item.path, item.reason) for item in items)


def parse_quarantine(content: bytes) -> list[Quarantined]:
    """The inverse of `write_quarantine`, of its content."""
    rows = csv.reader(content.decode("utf-8").splitlines())
    return [Quarantined(*row) for row in list(rows)[1:] if len(row) == 2]


def largest_fraction(limit: MaxBad, total: int) -> float:
    """The fraction of `total` items that may be bad. `auto`: 5 %, of a small set three while most are good."""
    return limit if limit != "auto" else max(_SHARE, min(_FEW, (total - 1) // 2) / max(1, total))


def check_fraction(
    bad: Sequence[Quarantined], good: int, limit: MaxBad, listed: Path | None = None, hint: str | None = SCAN_LISTS
) -> None:
    """Stop when too much is unreadable, or everything.

    Args:
        bad: quarantined items.
        good: number of readable ones.
        limit: `data.max_bad_fraction`.
        listed: where the list was written.
        hint: how to see the list, where it was not written; None where it was just shown.

    Raises:
        DataError: the fraction is above the limit.
    """
    total = len(bad) + good
    most = largest_fraction(limit, total)
    if bad and (not good or len(bad) > most * total + 1e-6):
        allowed = f", more than data.max_bad_fraction={most:.2g} allows" if good else ""
        enough = math.ceil(100 * len(bad) / total) / 100
        rest = (
            f"all are listed in {listed}" if listed else hint,
            f"data.max_bad_fraction={enough:g} leaves them out" if good else None,
        )
        raise DataError(
            f"{len(bad)} of {total} items are unreadable{allowed}; first: {bad[0].path}: {bad[0].reason}"
            + "".join(f"; {words}" for words in rest if words)
        )
