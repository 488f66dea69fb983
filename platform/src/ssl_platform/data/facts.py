"""What is known about the items of a run, in columns."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from ssl_platform.data.box import Box
from ssl_platform.data.tasks import LabelLayout
from ssl_platform.types import Row


class DomainRules(Protocol):
    """The part of a domain that labels need."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """File endings it reads."""

    @property
    def columns(self) -> Mapping[str, type]:
        """Manifest columns that overrule the file header."""

    def group(self, row: Row) -> tuple[str | None, str]:
        """The row's group, if known, and the rule's name."""

    def claims(self, path: Path) -> bool:
        """Whether a file name looks like one it reads."""


@dataclass(frozen=True)
class Facts:
    """One entry an item, or one a window of it; all columns have the same length n.

    Attributes:
        row: `[n]` int64, position of the item in the catalog.
        id: id of each entry's item.
        label: the label as written, empty when unknown (several 0/1 columns are joined by `|`).
        target: what batches carry: `[n]` int64 (-1 unknown), `[n]` float64 or `[n, K]` float32 (nan unknown).
        mask: absolute path of the mask, empty when there is none.
        group: patient, slide, place or speaker.
        split: `train`, `val`, `test` as given by a column, or empty.
        fold: `[n]` int64 as given by a column, -1 unknown.
        window: the part of the item meant, None for all of it.
        pair: entries with one value are views of one thing; empty when there is none.
        time: `[n]` float64 seconds since 1970, nan unknown.
        meta: all further columns as text.
        layout: the task of the labels, or None without labels.
        group_rule: how groups were found: `column NAME`, `name`, `parent`, a domain's word, or `file`.
        unmatched_labels: names in the source that fit no item.
        unmatched_items: ids of items that no source speaks of, when there is a source.
        notes: lines to print.
        values: what occurs in the mask of each entry, none where there is no mask; empty before masks are read.
    """

    row: np.ndarray
    id: tuple[str, ...]
    label: tuple[str, ...]
    target: np.ndarray
    mask: tuple[str, ...]
    group: tuple[str, ...]
    split: tuple[str, ...]
    fold: np.ndarray
    window: tuple[Box | None, ...]
    pair: tuple[str, ...]
    time: np.ndarray
    meta: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    layout: LabelLayout | None = None
    group_rule: str = "file"
    unmatched_labels: tuple[str, ...] = ()
    unmatched_items: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    values: tuple[frozenset[int], ...] = ()

    def __len__(self) -> int:
        return len(self.row)

    @property
    def labelled(self) -> np.ndarray:
        """`[n]` bool, whether the label (or mask) of an entry is known."""
        if self.layout is None:
            return np.zeros(len(self), dtype=bool)
        if self.layout.kind == "segmentation":
            return np.array([bool(path) for path in self.mask], dtype=bool)
        if self.layout.kind == "classification":
            return self.target >= 0
        known = ~np.isnan(self.target)
        return known.any(axis=1) if known.ndim == 2 else known

    @property
    def classes(self) -> int:
        """How many classes the labels name, 0 where they are none or no classes."""
        return len(self.layout.classes) if self.layout is not None and self.layout.kind == "classification" else 0

    @property
    def whole(self) -> np.ndarray:
        """`[n]` bool, whether an entry speaks of all its item, not of a window."""
        return np.array([window is None for window in self.window], dtype=bool)

    def overrides(self, rules: DomainRules) -> Iterator[tuple[int, dict[str, str]]]:
        """Catalog positions with the values of the domain's declared columns, which overrule the file header."""
        names = [name for name in rules.columns if name in self.meta]
        for entry in range(len(self) if names else 0):
            values = {name: self.meta[name][entry] for name in names if self.meta[name][entry]}
            if values:
                yield int(self.row[entry]), values

    def write_unmatched(self, path: Path) -> Path:
        """Write `labels_unmatched.csv`: which side a name stands on, and the name."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["side", "name"])
            writer.writerows(("labels", name) for name in self.unmatched_labels)
            writer.writerows(("data", name) for name in self.unmatched_items)
        return path
