"""UCF101: clips in `UCF-101/ACTION/`, the three published splits as lists in `ucfTrainTestlist/`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ssl_platform.errors import DataError
from ssl_platform_datasets.adapters.lists import lines_of

_HINT = "unpack UCF101TrainTestSplits-RecognitionTask.zip beside UCF-101"


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """A row for each clip: `split` is the first published one; `split2` and `split3` serve as `labels.split=split2`.

    Clips cut from one video (`v_Archery_g07_c01`, `_c02`) are one group.

    Raises:
        DataError: a list is missing or names a clip otherwise than published.
    """
    folder = Path(folder)
    splits: dict[str, dict[str, str]] = {}
    for number in (1, 2, 3):
        for part in ("train", "test"):
            path = folder / "ucfTrainTestlist" / f"{part}list{number:02d}.txt"
            for line in lines_of(path, _HINT):
                clip = line.split()[0]
                if clip.count("/") != 1:
                    raise DataError(f"{path}: {line[:60]!r} is not ACTION/CLIP.avi")
                splits.setdefault(clip, {})["split" if number == 1 else f"split{number}"] = part
    for clip, parts in sorted(splits.items()):
        action, name = clip.split("/")
        group = name.removesuffix(".avi").rpartition("_")[0]
        yield {
            "path": f"UCF-101/{clip}",
            "label": action,
            "group": group,
            "split": "",
            "split2": "",
            "split3": "",
        } | parts
