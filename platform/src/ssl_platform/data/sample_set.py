"""What the sample sets of domains share: written once, groups that stay together, a table of what was written."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssl_platform.data.files import replace_file

_TWICE = 0.3  # how often a group has a second item


class Planned(NamedTuple):
    """What is known of an item before it is made.

    Attributes:
        label: its class.
        group: number of the patient, camera or shape it is of.
        split: `train`, `val` or `test`.
    """

    label: str
    group: int
    split: str


def write_once(folder: Path, about: Mapping[str, int], write: Callable[[], Sequence[Mapping[str, str]]]) -> Path:
    """The manifest of a sample set, made unless it is there already; what was left half written is made again.

    Args:
        folder: gets the files of `write`, `manifest.csv` and `sample.json`.
        about: version, seed and size: a set made of other ones is made anew.
        write: writes the files and returns their rows of the manifest.

    Raises:
        OSError: the folder cannot be written.
    """
    manifest, stamped = folder / "manifest.csv", folder / "sample.json"
    if manifest.exists() and stamped.exists() and json.loads(stamped.read_text(encoding="utf-8")) == dict(about):
        return manifest
    stamped.unlink(missing_ok=True)
    rows = write()
    with replace_file(manifest) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    with replace_file(stamped) as draft:
        draft.write_text(json.dumps(dict(about)), encoding="utf-8")
    return manifest


def plan_groups(
    classes: Collection[str], items: int, rng: np.random.Generator, train: float, val: float
) -> list[Planned]:
    """Items in drawn order: classes equally frequent, one or two items a group, groups whole in one split.

    Args:
        classes: names.
        items: how many.
        rng: of everything drawn.
        train, val: shares of each class; the rest is test.
    """
    plan: list[Planned] = []
    group = 0
    for number, label in enumerate(classes):
        count = len(range(number, items, len(classes)))
        placed = 0
        while placed < count:
            together = min(count - placed, 2 if rng.random() < _TWICE else 1)
            share = placed / count
            split = "train" if share < train else "val" if share < train + val else "test"
            plan += [Planned(label, group, split)] * together
            placed, group = placed + together, group + 1
    return [plan[at] for at in rng.permutation(len(plan))]
