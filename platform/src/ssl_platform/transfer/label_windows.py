"""Labels of windows: each labelled window of an item becomes a row of its own, with features of that part alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ssl_platform.data.box import Box, box_text, parse_box
from ssl_platform.data.catalog import Catalog
from ssl_platform.data.names import counted
from ssl_platform.data.window import grid_windows, place_center, place_uniform
from ssl_platform.domain import Domain
from ssl_platform.errors import DataError, LabelError
from ssl_platform.opening import OpenData
from ssl_platform.plan import Reads
from ssl_platform.types import Part, Row, Window
from ssl_platform.views.operation import Operation

_CELLS, _ITEM = "label window", "label window of"
_ROUNDED = 0.5  # of a cell: grids end at whole cells


@dataclass
class LabelledWindows(OpenData):
    """Data whose rows are labelled windows; what a run folder lists is the data they are of.

    Attributes:
        source: that data; its entries are the same ones in the same order.
    """

    source: OpenData = field(kw_only=True)

    def write(self, folder: Path, codes: np.ndarray | None = None) -> None:
        """As of the data the windows are of: items, and entries with their windows."""
        self.source.write(folder, codes)


class WindowedDomain(Domain):
    """A domain that reads rows of labelled windows inside their box only; other rows as it does.

    Args:
        domain: reads the items.
    """

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain.options)
        self.domain, self.cache = domain, domain.cache
        self.name, self.layout, self.true_size = domain.name, domain.layout, domain.true_size  # type: ignore[misc]

    def read(self, row: Row, window: Window) -> dict[str, Part]:
        """The parts of the domain."""
        return self.domain.read(item_of(row), window)

    def views(self) -> Sequence[Operation]:
        """Those of the domain."""
        return self.domain.views()

    def cover(self, row: Row, size: Sequence[int], whole: bool = True) -> Sequence[Window]:
        """The fewest windows that cover the box, or the one in its middle."""
        box = box_of(row)
        if box is None:
            return self.domain.cover(row, size, whole)
        inner = _alone(row, box)
        return [_moved(row, box, w) for w in (grid_windows(inner, size) if whole else [place_center(inner, size)])]

    def place(self, row: Row, size: Sequence[int], uniforms: np.ndarray) -> Window:
        """Anywhere in the box; in its middle along axes where it is smaller than the window."""
        box = box_of(row)
        if box is None:
            return self.domain.place(row, size, uniforms)
        inner = _alone(row, box)
        anywhere, middle = place_uniform(inner, size, uniforms), place_center(inner, size)
        pairs = zip(anywhere.start, middle.start, strict=True)
        return _moved(row, box, replace(middle, start=tuple(a if m >= 0 else m for a, m in pairs)))

    def related(
        self, row: Row, reads: Reads, size: Sequence[int], uniforms: np.ndarray
    ) -> Sequence[tuple[Row, Window]]:
        """One window of the box: evaluations read no others beside it."""
        if box_of(row) is None:
            return self.domain.related(row, reads, size, uniforms)
        return [(row, self.place(row, size, uniforms[0]))] * reads.count


def windows_as_items(data: OpenData) -> tuple[OpenData, list[str]]:
    """The data with a catalog row for each entry of its labels; a labelled window is read inside its box.

    Args:
        data: opened; with no labels of windows it is returned as it is.

    Returns:
        The data, and lines for the user.

    Raises:
        LabelError: a window does not lie in its item, or the domain takes none.
    """
    facts = data.facts
    entries = np.flatnonzero(facts.labelled & ~facts.whole).tolist()
    if not entries:
        return data, []
    rows = [data.catalog.row(int(i)) for i in facts.row]
    names = list(facts.id)
    for entry in entries:
        row, box = rows[entry], facts.window[entry]
        assert box is not None
        names[entry] = f"{facts.id[entry]}[{box_text(box)}]"
        try:
            cells = cells_of(data.domain, row, box)
        except DataError as error:
            raise LabelError(f"{facts.id[entry]!r}, window {box_text(box)}: {error}") from None
        own = {_CELLS: box_text(cells), _ITEM: row.id}
        rows[entry] = row.replace(
            id=f"{row.id}[{box_text(box)}]", group=facts.group[entry] or row.group, meta={**row.meta, **own}
        )
    items = len(set(facts.row[entries].tolist()))
    count = len(facts)
    windows = LabelledWindows(
        WindowedDomain(data.domain),
        Catalog.of(rows),
        replace(facts, row=np.arange(count, dtype=np.int64), id=tuple(names), window=(None,) * count),
        data.splits,
        data.quarantined,
        data.masks,
        data.sample,
        data.lines,
        source=data,
    )
    told = f"labels: {counted(len(entries), 'labelled window')} of {counted(items, 'item')}, each scored by itself"
    return windows, [told]


def cells_of(domain: Domain, row: Row, box: Box) -> Box:
    """The whole cells of the item's grid that a window touches.

    Args:
        domain: knows how its grid lies in the source.
        row: the item.
        box: as the table has it.

    Raises:
        DataError: it lies outside the item, or the domain takes no such windows.
    """
    cells = []
    for axis, ((low, high), n) in enumerate(zip(domain.label_box(row, box), row.shape, strict=True)):
        if low < -_ROUNDED or high > n + _ROUNDED or low >= n:
            raise DataError(
                f"reaches outside the item: cells {low:.4g} to {high:.4g} of {n} along "
                f"{domain.layout.spatial[axis]} of its grid; correct the row"
            )
        first = max(0, math.floor(low + 1e-6))
        cells.append((float(first), float(max(first + 1, min(n, math.ceil(high - 1e-6))))))
    return tuple(cells)


def box_of(row: Row) -> Box | None:
    """The cells of the labelled window a row is of; None for whole items."""
    text = row.meta.get(_CELLS)
    return None if text is None else parse_box(str(text), row.id)


def item_of(row: Row) -> Row:
    """The item a row is of."""
    if _ITEM not in row.meta:
        return row
    meta = {name: value for name, value in row.meta.items() if name not in (_CELLS, _ITEM)}
    return row.replace(id=str(row.meta[_ITEM]), meta=meta)


def _alone(row: Row, box: Box) -> Row:
    """The box as an item of its own."""
    return row.replace(shape=tuple(int(high - low) for low, high in box))


def _moved(row: Row, box: Box, window: Window) -> Window:
    """A window of the box as one of the item; at the item's edges it is moved inside."""
    low = (min(n - s, 0) for n, s in zip(row.shape, window.size, strict=True))
    high = (max(n - s, 0) for n, s in zip(row.shape, window.size, strict=True))
    start = (a + int(first) for a, (first, _) in zip(window.start, box, strict=True))
    return replace(window, start=tuple(min(max(a, b), c) for a, b, c in zip(start, low, high, strict=True)))
