"""Files to samples, in numpy: a row of the catalog, a window of it, what is read there."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Row:
    """One readable item of the catalog.

    Attributes:
        id: stable and unique, a path relative to its root where there is one.
        path: absolute path of the file or folder.
        shape: spatial sizes in the grid windows are read from (after orientation and spacing are normalised), in
            `Layout.spatial` order; `(points,)` for point sets.
        spacing: physical size of a cell along each spatial axis in that grid, `Layout.unit`; empty when it has none.
        channels: channel names.
        dtype: numpy name of the storage type of that grid.
        bytes: size of the source on disk.
        fingerprint: hash of the source's content.
        group: patient, slide, place or speaker; None when unknown.
        label: label found in the file itself, or None. Labels of `--labels` are joined elsewhere.
        meta: further facts (modality, time, sensor); those named by `Layout.meta` travel with the batch.
        parts: paths of further parts by name (`sar`, `text`); the main part is `path`.
    """

    id: str
    path: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...] = ()
    channels: tuple[str, ...] = ()
    dtype: str = "float32"
    bytes: int = 0
    fingerprint: str = ""
    group: str | None = None
    label: Scalar = None
    meta: Mapping[str, Scalar] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)

    def replace(self, **changes: Any) -> Row:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True)
class Window:
    """What is read of an item: a box in cells of the row's grid.

    Attributes:
        start: first cell along each spatial axis; may be negative, what lies outside the item is invalid.
        size: cells along each spatial axis.
        key: 64-bit key of the draws a domain needs while reading (points chosen, for example).
    """

    start: tuple[int, ...]
    size: tuple[int, ...]
    key: int = 0


@dataclass
class Part:
    """One part of a sample as read.

    Attributes:
        data: `[C, *size]` in storage dtype, or `[N, C]` for point sets.
        valid: `[*size]` (or `[N]`) bool, False outside the item or where the file has no data; None: all valid.
        channels: channel names, length C.
        spacing: physical size of a cell along each spatial axis; empty when there is none.
        origin: position of the window's first cell edge in the item, physical units (cells when there is no spacing).
    """

    data: np.ndarray
    valid: np.ndarray | None = None
    channels: tuple[str, ...] = ()
    spacing: tuple[float, ...] = ()
    origin: tuple[float, ...] = ()


@dataclass
class Sample:
    """What a worker hands over: the reads of one item (or of related items), never augmented.

    Attributes:
        index: stable id: `row * windows_per_item + slot`.
        reads: one mapping of part name to Part for each read; nearly always a single `{"main": part}`.
        group: 63-bit hash of the group.
        meta: numeric facts named by the layout.
        label: int class, float target, multi-hot array or None when unknown or not asked for.
        position: position in the run, from which all draws of the sample derive.
    """

    index: int
    reads: tuple[dict[str, Part], ...]
    group: int = 0
    meta: Mapping[str, float] = field(default_factory=dict)
    label: Any = None
    position: int = 0

    @property
    def parts(self) -> dict[str, Part]:
        """The parts of the first read."""
        return self.reads[0]
