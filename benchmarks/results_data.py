"""The real sets of the table: their splits, written as manifests, and what a simple baseline reaches on them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

SCENE_TILE, TRAIN_COLUMNS, TEST_COLUMN = 10, 60, 70
"""Land cover is told of tiles of 10x10 pixels; those of the left 60 columns train, from column 70 on they test."""


def source(data: str, real: Path, out: Path) -> dict[str, Any]:
    """`manifest` of a real set, written once.

    Args:
        data: folder of the set below `real`.
        real: folder of real sets.
        out: folder for what is made from them.

    Raises:
        ValueError: nobody knows how this set is split.
    """
    name = data.rpartition("/")[2]
    make = {"fsdd": _digits, "sentinel2": _tiles, "hippocampus": _hippocampus}.get(name)
    if make is None:
        raise ValueError(f"{data}: no split is known for it")
    manifest = out / f"{name}.csv"
    if not manifest.exists():
        out.mkdir(parents=True, exist_ok=True)
        rows = list(make(real / data, out / name))
        draft = manifest.with_suffix(".tmp")
        with draft.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        draft.replace(manifest)
    return {"manifest": str(manifest)}


def rows_of(manifest: str) -> list[dict[str, str]]:
    """The rows of a manifest."""
    with Path(manifest).open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def _digits(folder: Path, made: Path) -> Iterable[Mapping[str, str]]:
    """Spoken digits of six speakers: two test, one validates, three train."""
    from ssl_platform_datasets.adapters import fsdd

    return [{**row, "path": str(folder / row["path"])} for row in fsdd.rows(folder)]


def _hippocampus(folder: Path, made: Path) -> Iterable[Mapping[str, str]]:
    """Volumes with a mask: sorted by name every fourth tests, of the others every fifth validates."""
    named = sorted(path.name for path in (folder / "labels").glob("*.nii.gz"))
    learnt = 0
    for number, name in enumerate(named, 1):
        if number % 4 == 0:
            split = "test"
        else:
            learnt += 1
            split = "val" if learnt % 5 == 0 else "train"
        yield {"path": str(folder / "images" / name), "mask": str(folder / "labels" / name), "split": split}


def _tiles(folder: Path, made: Path) -> Iterable[Mapping[str, str]]:
    """Tiles of every date, each with the commonest land cover of its cells; split in space."""
    import rasterio
    from rasterio.windows import Window

    with rasterio.open(folder / "LULC.tif") as cover_file:
        cover = cover_file.read(1)
    made.mkdir(parents=True, exist_ok=True)
    for scene in sorted(folder.glob("S2_*.tif")):
        with rasterio.open(scene) as file:
            for top in range(0, file.height - SCENE_TILE + 1, SCENE_TILE):
                for left in range(0, file.width - SCENE_TILE + 1, SCENE_TILE):
                    if TRAIN_COLUMNS - SCENE_TILE < left < TEST_COLUMN:
                        continue
                    cells = cover[top : top + SCENE_TILE, left : left + SCENE_TILE]
                    kinds, counts = np.unique(cells[cells > 0], return_counts=True)
                    if not len(kinds):
                        continue
                    window = Window(left, top, SCENE_TILE, SCENE_TILE)
                    path = made / f"{scene.stem}_{top:03d}_{left:03d}.tif"
                    profile = {
                        "driver": "GTiff",
                        "dtype": file.dtypes[0],
                        "count": file.count,
                        "width": SCENE_TILE,
                        "height": SCENE_TILE,
                        "crs": file.crs,
                        "transform": file.window_transform(window),
                    }
                    with rasterio.open(path, "w", **profile) as tile:
                        tile.write(file.read(window=window))
                        tile.descriptions = file.descriptions
                        tile.update_tags(**{k: v for k, v in file.tags().items() if k in ("DATETIME", "SCALE")})
                    inner = left // SCENE_TILE
                    split = "test" if left >= TEST_COLUMN else "val" if inner == 2 else "train"
                    pure = "forest" if kinds[counts.argmax()] == 2 and counts.max() == counts.sum() else "mixed"
                    date = re.sub(r"\D", "", scene.stem)[-8:]
                    yield {"path": str(path), "label": pure, "group": f"{top}-{left}", "split": split, "date": date}
