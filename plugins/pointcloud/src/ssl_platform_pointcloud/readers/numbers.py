"""Tables of numbers in text."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable

import numpy as np

from ssl_platform.errors import Unreadable


def table(lines: Iterable[str], *, rows: int | None = None, delimiter: str | None = None) -> np.ndarray:
    """`[rows, columns]` float64 of lines of numbers; empty lines and comments (`#`, `//`) do not count.

    Args:
        lines: of the file, after its header.
        rows: how many the header promises, or None.
        delimiter: between numbers; None for white space.

    Raises:
        Unreadable: a line is not numbers, lines differ in length, or fewer are there than promised.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # numpy's about empty input; it is refused below
            found = np.loadtxt(lines, delimiter=delimiter, comments=("#", "//"), ndmin=2, max_rows=rows)
    except UnicodeDecodeError:
        raise Unreadable("not text although its name says so") from None
    except ValueError as error:
        why = re.sub(r";.*", "", " ".join(str(error).split()))
        raise Unreadable(f"not a table of numbers: {why}") from None
    if rows is not None and len(found) < rows:
        raise Unreadable(f"truncated: {len(found):,} of {rows:,} points")
    return found
