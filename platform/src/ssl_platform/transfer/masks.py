"""Label masks beside their images: a domain whose windows carry the mask of the same cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ssl_platform.data.facts import Facts
from ssl_platform.data.window import place_foreground, read_window
from ssl_platform.domain import Domain
from ssl_platform.types import Part, Row, Window

UNKNOWN = -1
FOREGROUND = 1 / 3  # windows placed on a labelled class (nnU-Net's share)
_CELLS = 4096


class MaskedDomain(Domain):
    """A domain whose samples have a further part `mask`: classes by number, `UNKNOWN` where a cell counts nowhere.

    Views carry their geometry, so `dense_labels.carry_labels` brings the mask to any augmented view.

    Args:
        domain: reads the images, and the masks through its cache.
        masks: path of the mask by id of the item.
        values: mask value of each class; the class 0 is not foreground where its value is 0.
        resample: whether masks on another grid are resampled (`labels.resample`).
    """

    def __init__(self, domain: Domain, masks: Mapping[str, str], values: Sequence[int], resample: bool = False) -> None:
        super().__init__(domain.options)
        self.domain, self.masks, self.values, self.resample = domain, dict(masks), tuple(values), resample
        self.layout = domain.layout  # type: ignore[misc]
        self.cache = domain.cache
        self._foreground: dict[str, np.ndarray] = {}

    def classes(self, row: Row, window: Window | None = None) -> Part:
        """The classes of a window (of the whole item by default): data `[1, *size]` int16, `[N, 1]` of points.

        Raises:
            Unreadable: the mask cannot be read.
        """
        assert self.cache is not None
        prepared = self.cache.open_mask(row, Path(self.masks[row.id]), self.domain, self.resample)
        whole = Window((0,) * len(row.shape), tuple(row.shape))
        line = replace(self.layout, axes="C T") if self.layout.points else self.layout  # points lie in a row
        part = read_window(prepared, row, window or whole, replace(line, fill=0.0))
        if self.layout.points:
            part = replace(part, data=part.data.T, spacing=(), origin=())
        classes = np.full(part.data.shape, UNKNOWN, dtype=np.int16)
        for number, value in enumerate(self.values):
            classes[part.data == value] = number
        return replace(part, data=classes)

    def target(self, row: Row) -> np.ndarray:
        """`[*shape]` int16 classes of a whole item.

        Raises:
            Unreadable: the mask cannot be read.
        """
        data = self.classes(row).data
        return data[:, 0] if self.layout.points else data[0]

    def read(self, row: Row, window: Window) -> dict[str, Part]:
        """The parts of the domain, and the mask. Of points the ones that labels are of are read (key 0)."""
        if self.layout.points:
            window = replace(window, key=0)
        return {**self.domain.read(row, window), "mask": self.classes(row, window)}

    def place(self, row: Row, size: Sequence[int], uniforms: np.ndarray) -> Window:
        """A third of the windows hold a cell of a labelled class; the others lie where the domain puts them."""
        if self.layout.points:  # every point is labelled
            return self.domain.place(row, size, uniforms)
        rank = len(row.shape)
        cells = self._cells(row)
        if len(cells) and uniforms[rank] < FOREGROUND:
            return place_foreground(cells, row, size, uniforms, FOREGROUND)
        rest = np.array(uniforms, dtype=np.float64)
        rest[rank] = max(0.0, (rest[rank] - FOREGROUND) / (1 - FOREGROUND))
        return self.domain.place(row, size, rest)

    def _cells(self, row: Row) -> np.ndarray:
        """`[n, S]` some cells of the labelled classes, each class with the same share."""
        if row.id not in self._foreground:
            classes = self.target(row)
            first = 1 if self.values and self.values[0] == 0 else 0
            draw = np.random.default_rng(0)
            found = [np.argwhere(classes == number) for number in range(first, len(self.values))]
            found = [cells for cells in found if len(cells)]
            kept = [draw.choice(cells, _CELLS // len(found)) for cells in found]
            none = np.zeros((0, len(row.shape)), dtype=np.int32)
            self._foreground[row.id] = np.concatenate(kept).astype(np.int32) if kept else none
        return self._foreground[row.id]


def mask_paths(facts: Facts, ids: Sequence[str]) -> dict[str, str]:
    """Path of the mask by id of the item, for items that have one.

    Args:
        facts: of the entries.
        ids: of the catalog's rows.
    """
    return {ids[int(row)]: path for row, path in zip(facts.row, facts.mask, strict=True) if path}
