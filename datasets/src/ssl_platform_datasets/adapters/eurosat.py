"""EuroSAT with all bands, read through torchgeo's own class for it.

`eurosat-{train,val,test}.txt` beside `ds/images/remote_sensing/otherDatasets/sentinel_2/tif/CLASS/CLASS_N.tif`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ssl_platform.errors import DataError
from ssl_platform_datasets.adapters.lists import lines_of


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """A row for each patch of the published split.

    Every patch is a group of its own: the split was drawn at random, so neighbouring patches lie in both parts.

    Raises:
        DataError: torchgeo is not installed, or lists or patches are missing.
    """
    try:
        from torchgeo.datasets import EuroSAT
    except ImportError:
        raise DataError("eurosat is read through torchgeo: pip install ssl-platform-multispectral") from None
    folder = Path(folder)
    tiles = folder / EuroSAT.base_dir
    if not tiles.is_dir():
        raise DataError(f"{tiles}: missing; unpack {EuroSAT.filename} into {folder}")
    bands = ",".join(EuroSAT.all_band_names)
    for split in EuroSAT.splits:
        lines_of(folder / EuroSAT.split_filenames[split], "torchgeo hosts it beside the archive")
        found = EuroSAT(folder, split=split)
        for path, number in found.samples:
            yield {
                "path": os.path.relpath(path, folder),
                "label": found.classes[number],
                "split": split,
                "group": Path(path).stem,
                "bands": bands,
                "sensor": "sentinel2",
                "baseline": "none",
            }
