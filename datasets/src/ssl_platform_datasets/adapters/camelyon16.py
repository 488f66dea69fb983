"""CAMELYON16: slides in `training/{normal,tumor}` and `testing/images`, test labels in `testing/reference.csv`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ssl_platform.errors import DataError
from ssl_platform_datasets.adapters.lists import lines_of

_TRAINING = {"normal": "normal", "tumor": "tumour"}


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """A row for each slide: is there a metastasis in this section of a lymph node?

    Raises:
        DataError: no training slide is there, or the table of test labels is missing or wrong.
    """
    folder = Path(folder)
    training = {path: label for name, label in _TRAINING.items() for path in (folder / "training" / name).glob("*.tif")}
    if not training:
        raise DataError(f"{folder}: holds no training/normal/*.tif and no training/tumor/*.tif")
    for path, label in sorted(training.items()):
        yield {"path": path.relative_to(folder).as_posix(), "label": label, "split": "train"}
    table = folder / "testing" / "reference.csv"
    for line in lines_of(table, "it comes with the test slides"):
        name, _, rest = line.partition(",")
        label = _TRAINING.get(rest.split(",")[0].strip().lower(), "")
        if not label:
            raise DataError(f"{table}: a line begins {line[:40]!r}, not with a slide and Normal or Tumor")
        slide = name.strip().removesuffix(".tif")
        yield {"path": f"testing/images/{slide}.tif", "label": label, "split": "test"}
