"""The Medical Segmentation Decathlon's layout: `dataset.json`, `imagesTr/`, `labelsTr/`, `imagesTs/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ssl_platform.errors import DataError
from ssl_platform_datasets.adapters.lists import json_of


def read_dataset_json(folder: Path) -> Mapping[str, Any]:
    """The task's `dataset.json`.

    Raises:
        DataError: it is missing or is not what the decathlon ships.
    """
    path = folder / "dataset.json"
    found = json_of(path, "give the folder of one task, for example Task04_Hippocampus")
    if not isinstance(found, dict) or not isinstance(found.get("training"), list):
        raise DataError(f"{path}: has no list 'training'; it is not a dataset.json of the decathlon")
    return found


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """Manifest rows of one task: every listed image with its mask, test images without.

    The published test images carry no labels, so they are further unlabelled data here (`split` is left empty).

    Raises:
        DataError: `dataset.json` is missing or wrong.
    """
    facts = read_dataset_json(Path(folder))
    for entry in facts["training"]:
        yield _row(entry["image"], entry["label"].removeprefix("./"))
    for image in facts.get("test", []):
        yield _row(image if isinstance(image, str) else image["image"], "")


def _row(image: str, mask: str) -> dict[str, str]:
    name = Path(image).name.removesuffix(".gz").removesuffix(".nii")
    return {"path": image.removeprefix("./"), "mask": mask, "id": name}
