"""`splits.csv`: who trains, validates and tests, written to be read again."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from ssl_platform.data.box import Box, box_text, parse_box
from ssl_platform.data.facts import Facts
from ssl_platform.data.names import nearest
from ssl_platform.data.table import read_table
from ssl_platform.errors import DataError

_CODES = {"": 0, "train": 1, "val": 2, "test": 3}
_NAMES = {code: name for name, code in _CODES.items()}


def write(path: Path, facts: Facts, codes: np.ndarray) -> Path:
    """Write the used entries: `id, window, group, split`, with `split:0`, `split:1`, .. for the rounds of folds.

    Args:
        path: the file.
        facts: what is known of the items.
        codes: `[folds, n]` parts.
    """
    parts = ["split"] if len(codes) == 1 else [f"split:{k}" for k in range(len(codes))]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "window", "group", *parts])
        for i in np.flatnonzero(codes.any(axis=0)):
            names = [_NAMES[int(code)] for code in codes[:, i]]
            writer.writerow([facts.id[i], box_text(facts.window[i]), facts.group[i], *names])
    return path


def read(path: Path, facts: Facts, allow_unmatched: bool = False) -> np.ndarray:
    """Parts `[folds, n]` of a splits file for these entries; entries it does not name are unused.

    Raises:
        DataError: it is no splits file, or names items that are not in the data (unless `allow_unmatched`).
    """
    table = read_table(path)
    names = [name for name in table.columns if name == "split" or name.startswith("split:")]
    if "id" not in table.columns or not names:
        raise DataError(
            f"{path} is not a splits file: it needs the columns 'id' and 'split' (or 'split:0', 'split:1'..)"
        )
    place: dict[tuple[str, Box | None], int] = {
        (name, box): i for i, (name, box) in enumerate(zip(facts.id, facts.window, strict=True))
    }
    windows = table.columns.get("window", [""] * len(table))
    codes = np.zeros((len(names), len(facts)), dtype=np.int8)
    absent = []
    for k, name in enumerate(table.columns["id"]):
        box = parse_box(windows[k], table.where(k)) if windows[k] else None
        entry = place.get((name, box))
        if entry is None:
            absent.append(name)
            continue
        for fold, column in enumerate(names):
            word = table.columns[column][k]
            if word not in _CODES:
                raise DataError(f"{table.where(k)}: {column} {word!r} is not train, val or test{nearest(word, _CODES)}")
            codes[fold, entry] = _CODES[word]
    if absent and not allow_unmatched:
        raise DataError(
            f"{len(absent)} of {len(table)} items of {path} are not in the data, such as {absent[0]!r}: give the same "
            "data, or labels.allow_unmatched=true (the split then counts as another one)"
        )
    return codes
