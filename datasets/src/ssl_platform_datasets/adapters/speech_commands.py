"""Speech Commands v0.02: `WORD/SPEAKER_nohash_N.wav`; lists name the validation and test files, the rest trains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ssl_platform.errors import DataError
from ssl_platform_datasets.adapters.lists import lines_of

_LISTS = {"validation_list.txt": "val", "testing_list.txt": "test"}


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """A row for each utterance; a speaker is a group. `_background_noise_` holds no words and is left out.

    Raises:
        DataError: a list is missing, or no word is there.
    """
    folder = Path(folder)
    listed = {name: split for file, split in _LISTS.items() for name in lines_of(folder / file, "it is in the archive")}
    found = {path.relative_to(folder).as_posix() for path in folder.glob("[!_]*/*.wav")}
    if not found:
        raise DataError(f"{folder}: holds no folders of words such as yes/*.wav")
    for name in sorted(found | set(listed)):
        word, _, file = name.partition("/")
        group = file.partition("_nohash_")[0]
        yield {"path": name, "label": word, "group": group, "split": listed.get(name, "train")}
