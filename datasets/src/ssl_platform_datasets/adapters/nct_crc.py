"""NCT-CRC-HE: tiles of 224 pixels in a folder a tissue, 100,000 to train and 7,180 of other patients to test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ssl_platform.errors import DataError

TRAIN = ("NCT-CRC-HE-100K", "NCT-CRC-HE-100K-NONORM")
TEST = "CRC-VAL-HE-7K"
MPP = "0.5"


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """A row for each tile; the tiles store no scale, which is 0.5 microns a pixel.

    Raises:
        DataError: a set is missing.
    """
    folder = Path(folder)
    train = next((name for name in TRAIN if (folder / name).is_dir()), TRAIN[0])
    for name, split in ((train, "train"), (TEST, "test")):
        tiles = sorted((folder / name).glob("*/*.tif"))
        if not tiles:
            raise DataError(f"{folder / name}: holds no ADI/*.tif and so on; unpack {name}.zip into {folder}")
        for path in tiles:
            yield {"path": path.relative_to(folder).as_posix(), "label": path.parent.name, "split": split, "mpp": MPP}
