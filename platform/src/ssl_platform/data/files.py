"""Writing files so that a reader sees the whole of one or nothing."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` to write; it takes the place of `path` only if the block succeeds.

    The name is unlike every other process', so writers of one file never mix: the last one wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)  # noqa: PTH105 - the atomicity of os.replace is the point
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def remove_leftovers(folder: Path, older_than: float) -> None:
    """Remove temporary files below `folder` that a killed process left, last changed before the time `older_than`."""
    for leftover in folder.rglob(".*.tmp"):
        with contextlib.suppress(OSError):
            if leftover.stat().st_mtime < older_than:
                leftover.unlink()
