"""The Medical Segmentation Decathlon's layout: `dataset.json`, `imagesTr/`, `labelsTr/`, `imagesTs/`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ssl_platform.errors import DataError


def read_dataset_json(folder: Path) -> Mapping[str, Any]:
    """The task's `dataset.json`.

    Raises:
        DataError: it is missing or is not what the decathlon ships.
    """
    path = folder / "dataset.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: not found; give the folder of one task, for example Task04_Hippocampus") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}); download the task again") from None
    if not isinstance(found, dict) or not isinstance(found.get("training"), list):
        raise DataError(f"{path}: has no list 'training'; it is not a dataset.json of the decathlon")
    return found


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """Manifest rows of one task: every listed image with its mask, test images without.

    The published test images carry no labels, so they are further unlabelled data here (`split` is left empty).

    Raises:
        DataError: `dataset.json` is missing or wrong, or names a file that is not there.
    """
    folder = Path(folder)
    facts = read_dataset_json(folder)
    for entry in facts["training"]:
        image, mask = (_relative(folder, entry[key]) for key in ("image", "label"))
        yield {"path": image, "mask": mask, "id": Path(image).name.removesuffix(".gz").removesuffix(".nii")}
    for image in facts.get("test", []):
        name = _relative(folder, image if isinstance(image, str) else image["image"])
        yield {"path": name, "mask": "", "id": Path(name).name.removesuffix(".gz").removesuffix(".nii")}


def _relative(folder: Path, name: str) -> str:
    path = name.removeprefix("./")
    if not (folder / path).is_file():
        raise DataError(f"{folder / path}: named by dataset.json but missing; the download is incomplete")
    return path
