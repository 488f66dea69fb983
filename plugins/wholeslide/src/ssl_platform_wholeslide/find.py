"""What under a folder may be a slide: files, and folders of DICOM files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ssl_platform_wholeslide.slides import DICOM_SUFFIXES, OTHERS, SUFFIXES
from ssl_platform_wholeslide.slides.series import is_dicom

_FILE_SUFFIXES = (*(suffix for suffix in SUFFIXES if suffix not in DICOM_SUFFIXES), *OTHERS)


def find(root: Path) -> Iterator[Path]:
    """Candidates under `root`, sorted: slide files, and each folder that holds DICOM files.

    The folder of an `.mrxs` file holds its data and is not looked into. A file named outright is a candidate whatever
    its ending.
    """
    if root.is_file():
        yield root
        return
    for place, folders, names in os.walk(root):
        folder = Path(place)
        files = sorted(name for name in names if not name.startswith("."))
        if any(is_dicom(folder / name) for name in files if name.upper() != "DICOMDIR"):
            yield folder
        yield from (folder / name for name in files if name.lower().endswith(_FILE_SUFFIXES))
        data = {name[: -len(".mrxs")] for name in files if name.lower().endswith(".mrxs")}
        folders[:] = sorted(name for name in folders if name not in data and not name.startswith("."))
