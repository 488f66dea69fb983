"""`dataset.json` of the Medical Segmentation Decathlon and of nnU-Net: names of channels and of mask values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ssl_platform.errors import DataError


@dataclass(frozen=True)
class DatasetJson:
    """What the file says.

    Attributes:
        path: where it was found.
        channels: names of the channels `_0000`, `_0001`, ..
        classes: names of mask values; nnU-Net's regions (several values under one name) are left out.
    """

    path: Path
    channels: tuple[str, ...] = ()
    classes: Mapping[int, str] = field(default_factory=dict)


def find_dataset_json(folder: Path) -> DatasetJson | None:
    """Read the `dataset.json` of a folder or of the one above it, or return None.

    Raises:
        DataError: it is there and cannot be read.
    """
    for place in (folder, folder.parent):
        path = place / "dataset.json"
        if path.is_file():
            return read_dataset_json(path)
    return None


def read_dataset_json(path: Path) -> DatasetJson:
    """Read one file: `modality`/`channel_names` and `labels`, in either direction of the mapping.

    Raises:
        DataError: it is not JSON, or its parts have another form.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        channels = content.get("channel_names") or content.get("modality") or {}
        names = tuple(str(name) for _, name in sorted((int(number), name) for number, name in channels.items()))
        classes = {}
        for key, value in (content.get("labels") or {}).items():
            # MSD writes {"1": "Anterior"}, nnU-Net {"Anterior": 1}; regions are lists and name no single value.
            number, name = (value, key) if isinstance(value, int) else (key, value)
            if isinstance(name, str) and (isinstance(number, int) or str(number).isdigit()) and name != "ignore":
                classes[int(number)] = name
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{path} is not a dataset.json of MSD or nnU-Net ({error}): correct or remove it") from error
    return DatasetJson(path, names, dict(sorted(classes.items())))
