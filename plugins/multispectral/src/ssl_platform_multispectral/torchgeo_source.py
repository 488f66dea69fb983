"""torchgeo's datasets as a source: what one of them holds on disk, as a manifest that `--manifest` reads.

    from torchgeo.datasets import EuroSAT
    from ssl_platform_multispectral.torchgeo_source import write_manifest

    write_manifest(EuroSAT("data", split="train"), "eurosat.csv")

Files stay where they are and are read by the platform, so its rules for bands, values and missing data apply.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ssl_platform.errors import DataError

_CHANGE = {"B8a": "B8A"}


def write_manifest(dataset: Any, path: str | Path, *, sensor: str = "", baseline: str = "", split: str = "") -> Path:
    """Write the files of a torchgeo dataset as a manifest.

    Args:
        dataset: a `RasterDataset`, or one with `files` or `samples` such as the classification datasets.
        path: the CSV to write.
        sensor: column `sensor`, where files and band names do not tell it.
        baseline: column `baseline` of Sentinel-2, for files that do not say it.
        split: column `split`: train, val or test.

    Returns:
        The manifest (columns path, bands, and label, sensor, baseline, split where known).

    Raises:
        DataError: the dataset does not say which files it reads.
    """
    bands = ",".join(_CHANGE.get(name, name) for name in getattr(dataset, "all_bands", ()) or ())
    fixed = {"bands": bands, "sensor": sensor, "baseline": baseline, "split": split}
    rows = [{"path": file, "label": label, **fixed} for file, label in files_of(dataset)]
    if not rows:
        raise DataError(f"{type(dataset).__name__} names no files: give their folder to --data instead")
    kept = [name for name in rows[0] if any(row[name] for row in rows)]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, kept, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def files_of(dataset: Any) -> Iterator[tuple[str, str]]:
    """Absolute path and label (empty where there is none) of every file of a dataset.

    Geographic datasets keep their files in an index table, classification datasets as `samples` of path and class
    number, others as a list `files`.
    """
    index = getattr(dataset, "index", None)
    if index is not None and "filepath" in getattr(index, "columns", ()):
        yield from ((str(Path(file).absolute()), "") for file in index["filepath"])
        return
    samples = getattr(dataset, "samples", None)
    if samples:
        classes = list(getattr(dataset, "classes", ()))
        for file, number in samples:
            yield str(Path(file).absolute()), classes[number] if classes else str(number)
        return
    for file in getattr(dataset, "files", ()) or ():
        if isinstance(file, str | Path):
            yield str(Path(file).absolute()), ""
