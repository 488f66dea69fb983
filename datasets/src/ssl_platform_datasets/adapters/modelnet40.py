"""ModelNet40: meshes as `CLASS/train/CLASS_0001.off` and `CLASS/test/..`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ssl_platform.errors import DataError


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """A row for each mesh, in the published split.

    Raises:
        DataError: there is none.
    """
    folder = Path(folder)
    meshes = sorted(path for part in ("train", "test") for path in folder.glob(f"*/{part}/*.off"))
    if not meshes:
        raise DataError(f"{folder}: holds no airplane/train/*.off and so on; give the folder ModelNet40")
    for path in meshes:
        name = path.relative_to(folder)
        yield {"path": name.as_posix(), "label": name.parts[0], "split": name.parts[1]}
