"""ShapeNetPart with normals: `SYNSET/ID.txt` with x y z, a normal and the number of a part in each line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ssl_platform.errors import DataError
from ssl_platform_datasets.adapters.lists import json_of, lines_of


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """A row for each shape of the published split; its parts are labels of points in the file itself.

    Raises:
        DataError: a list is missing or names shapes otherwise than published.
    """
    folder = Path(folder)
    named = lines_of(folder / "synsetoffset2category.txt", "give the folder the archive unpacks to")
    category = {line.split()[-1]: line.split()[0] for line in named}
    for split in ("train", "val", "test"):
        path = folder / "train_test_split" / f"shuffled_{split}_file_list.json"
        for entry in json_of(path, "it is in the archive"):
            _, _, shape = str(entry).partition("/")  # shape_data/02691156/1a04e3eab45ca15dd86060f189eb133
            synset = shape.partition("/")[0]
            if synset not in category:
                raise DataError(f"{path}: {entry!r} is in no category of synsetoffset2category.txt")
            file = f"{shape}.txt"
            yield {"path": file, "mask": file, "id": shape, "split": split, "category": category[synset]}
