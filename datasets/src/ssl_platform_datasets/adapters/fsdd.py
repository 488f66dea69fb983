"""Free Spoken Digit Dataset: `recordings/DIGIT_SPEAKER_NUMBER.wav`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ssl_platform.errors import DataError

SPLITS = {"nicolas": "val", "theo": "test", "yweweler": "test"}
_NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>[a-z]+)_\d+\.wav")


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """A row for each recording, split by speaker.

    The repository tests numbers 0 to 4 of every speaker, who are then known from training. Here the speakers of
    `SPLITS` are kept for validation and test, and all others train.

    Raises:
        DataError: no recording is there.
    """
    found = 0
    for path in sorted((Path(folder) / "recordings").glob("*.wav")):
        name = _NAME.fullmatch(path.name)
        if name:
            found += 1
            split = SPLITS.get(name["speaker"], "train")
            yield {
                "path": f"recordings/{path.name}",
                "label": name["digit"],
                "group": name["speaker"],
                "split": split,
            }
    if not found:
        raise DataError(f"{folder}: holds no recordings/7_jackson_32.wav and so on; give the folder of the repository")
