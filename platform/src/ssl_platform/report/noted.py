"""A failing picture is worth a line, never a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ssl_platform.errors import RunStopped
from ssl_platform.report.album import Album


@contextmanager
def noted(made: Album, what: str) -> Iterator[None]:
    """Turn an exception into a line of `Album.missing`.

    Raises:
        RunStopped: a signal came.
    """
    try:
        yield
    except RunStopped:
        raise
    except Exception as error:
        line = " ".join(str(error).split())[:200]
        made.missing.append(f"{what}: {type(error).__name__}: {line}")
