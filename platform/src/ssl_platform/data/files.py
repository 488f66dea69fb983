"""Files: written so that a reader sees the whole of one or nothing, and what may stand in the place of one."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

_STAND_INS = {
    b"version https://git-lfs": "a Git LFS pointer, not the file itself: fetch it with git lfs pull",
    b"/annex/objects/": "a git-annex pointer, not the file itself: fetch it with git annex get",
}


def stand_in(path: Path) -> str | None:
    """What lies in the place of a file whose content was never fetched, and how to fetch it; None for real files."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError:
        return None
    return next((why for mark, why in _STAND_INS.items() if start.startswith(mark)), None)


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
