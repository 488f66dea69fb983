"""LUNA16: scans as MetaImage in `subset0/` to `subset9/`, nodule candidates in `candidates_V2.csv`.

The task is the challenge's false-positive reduction: is there a nodule at this place? Each candidate is a window of its
scan; the subsets are the challenge's ten folds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ssl_platform.errors import DataError
from ssl_platform_datasets.adapters.lists import table_of

BOX_MM = 48.0
"""Side of the window around a candidate: the largest nodules are about 30 mm across."""
_TABLES = ("candidates_V2.csv", "candidates.csv")
_COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "class")


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """A row for each candidate of the scans that are there, labelled `nodule` or `other`.

    Raises:
        DataError: no scan is there, the table of candidates is missing, or a header cannot be read.
    """
    folder = Path(folder)
    scans = {path.stem: path for path in sorted(folder.glob("subset[0-9]/*.mhd"))}
    if not scans:
        raise DataError(f"{folder}: holds no subset0/*.mhd; unpack subset0.zip to subset9.zip into it")
    table = next((folder / name for name in _TABLES if (folder / name).is_file()), folder / _TABLES[0])
    places: dict[str, _Place] = {}
    for found in table_of(table, _COLUMNS, "unpack candidates_V2.zip beside the subsets"):
        uid = found["seriesuid"]
        path = scans.get(uid)
        if path is None:
            continue
        if uid not in places:
            places[uid] = _Place(path)
        window = places[uid].box(np.array([float(found[f"coord{axis}"]) for axis in "XYZ"]))
        yield {
            "path": path.relative_to(folder).as_posix(),
            "window": ",".join(f"{low}:{high}" for low, high in window),
            "label": "nodule" if int(float(found["class"])) else "other",
            "group": uid,
            "fold": path.parent.name.removeprefix("subset"),
        }


class _Place:
    """Where the voxels of a scan lie, from its header.

    Args:
        path: of the `.mhd`: LPS millimetres, axes in ITK's order.

    Raises:
        DataError: the header lacks what places the voxels.
    """

    def __init__(self, path: Path) -> None:
        try:
            fields = dict(_pairs(path.read_text(encoding="latin-1")))
            self.size = np.array(fields["DimSize"].split(), dtype=int)
            origin = fields.get("Offset") or fields.get("Position") or fields["Origin"]
            self.origin = np.array(origin.split(), dtype=float)
            self.spacing = np.array(fields["ElementSpacing"].split(), dtype=float)
            turn = np.array(fields.get("TransformMatrix", "1 0 0 0 1 0 0 0 1").split(), dtype=float)
            self.turn = turn.reshape(3, 3).T  # MetaImage lists the direction of one axis after the other
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"{path}: not a MetaImage header ({error}); download its subset again") from None

    def box(self, point: np.ndarray) -> list[tuple[int, int]]:
        """Voxels `[low, high)` along x, y and z of a cube around a place `[3]` in mm, within the scan."""
        middle = np.linalg.solve(self.turn * self.spacing, point - self.origin)
        half = BOX_MM / 2 / self.spacing
        low = np.clip(np.floor(middle - half), 0, self.size - 1).astype(int)
        high = np.clip(np.ceil(middle + half), low + 1, self.size).astype(int)
        return list(zip(low.tolist(), high.tolist(), strict=True))


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            yield name.strip(), value.strip()
