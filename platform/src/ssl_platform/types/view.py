"""On the device: batches as they arrive, and the views made of them with the geometry that made them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from torch import Tensor

    from ssl_platform.draws import Draws


@dataclass
class PartBatch:
    """One part of a batch.

    Attributes:
        data: `[B, C, *size]` in storage dtype, or `[B, N, C]` for point sets.
        valid: `[B, *size]` (or `[B, N]`) bool, or None when everything is valid.
        channel_valid: `[B, C]` bool where channel sets were padded, else None.
        spacing: `[B, S]` float32 (ones when there is none).
        origin: `[B, S]` float32.
        channels: channel names, length C (of the union where sets were padded).
    """

    data: Tensor
    valid: Tensor | None
    channel_valid: Tensor | None
    spacing: Tensor
    origin: Tensor
    channels: tuple[str, ...]


@dataclass
class Batch:
    """A micro-batch: one bucket (same parts, axes and, unless padded, channels).

    Attributes:
        reads: one mapping of part name to PartBatch for each read.
        index: `[B]` int64.
        group: `[B]` int64.
        position: `[B]` int64.
        meta: `{name: [B]}` float32.
        label: `[B]` int64 (-1 unknown), `[B]` float (nan unknown), `[B, K]` (nan unknown), or None when not asked for.
    """

    reads: tuple[dict[str, PartBatch], ...]
    index: Tensor
    group: Tensor
    position: Tensor
    meta: dict[str, Tensor] = field(default_factory=dict)
    label: Tensor | None = None

    def __len__(self) -> int:
        return int(self.index.shape[0])


@dataclass
class Geometry:
    """Where a view came from: `source = matrix @ u + offset`, for `u` in `[0, 1]^S` over the view.

    `u = 0` is the outer edge of the first cell and `u = 1` that of the last. Source coordinates are physical
    (`Layout.unit`) from the item's first cell edge, so views of one item compare whichever window they were cut from.
    The methods live in `ssl_platform.views.geometry`; these delegate.

    Attributes:
        matrix: `[B, S, S]` float32.
        offset: `[B, S]` float32.
        item: `[B]` int64, hash of the item: coordinates compare only where it is equal.
    """

    matrix: Tensor
    offset: Tensor
    item: Tensor

    def to_source(self, points: Tensor) -> Tensor:
        """Map `[B, N, S]` view coordinates to source coordinates."""
        from ssl_platform.views.geometry import transform

        return transform(self.matrix, self.offset, points)

    def from_source(self, points: Tensor) -> Tensor:
        """Map `[B, N, S]` source coordinates to view coordinates."""
        from ssl_platform.views.geometry import from_source

        return from_source(self, points)

    def to_view(self, other: Geometry, points: Tensor) -> Tensor:
        """Map `[B, N, S]` coordinates of this view to coordinates of `other` (outside `[0, 1]` beyond it)."""
        return other.from_source(self.to_source(points))

    def overlap(self, other: Geometry) -> Tensor:
        """`[B]` fraction of this view's extent that `other` covers (0 for unlike items)."""
        from ssl_platform.views.geometry import overlap

        return overlap(self, other)

    def coverage(self, other: Geometry, grid: tuple[int, ...]) -> Tensor:
        """`[B, prod(grid)]` fraction of each cell of this view's `grid` that `other` covers."""
        from ssl_platform.views.geometry import coverage

        return coverage(self, other, grid)


@dataclass
class View:
    """One augmented (or clean) look at each sample of a batch.

    Values are in physical or `[0, 1]` units; normalisation is the encoder's first layer.

    Attributes:
        x: `[B, C, *size]` float, or `[B, N, C]` for point sets.
        valid: `[B, *size]` (or `[B, N]`) bool, or None when all is valid.
        channel_valid: `[B, C]` bool, or None.
        channels: channel names, length C.
        role: the plan's name for it: `global`, `local`, `target`, `clean`...
        index, group: `[B]` int64.
        spacing: `[B, S]` physical size of a cell.
        geometry: where it came from, or None (toy input).
        draws: the samples' random stream for whoever needs one (masks), distinct for every view.
        label: only if the plan asks for labels.
        meta: `{name: [B]}`.
        params: `{name: [B, k]}`, every parameter drawn for the view.
        part: which part of the sample it shows.
    """

    x: Tensor
    valid: Tensor | None = None
    channel_valid: Tensor | None = None
    channels: tuple[str, ...] = ()
    role: str = "global"
    index: Tensor | None = None
    group: Tensor | None = None
    spacing: Tensor | None = None
    geometry: Geometry | None = None
    draws: Draws | None = None
    label: Tensor | None = None
    meta: dict[str, Tensor] = field(default_factory=dict)
    params: dict[str, Tensor] = field(default_factory=dict)
    part: str = "main"

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def replace(self, **changes: Any) -> View:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    @property
    def random(self) -> Draws:
        """The view's draws; raises a clear error where the view was made without any."""
        if self.draws is None:
            raise ValueError(f"the {self.role!r} view carries no draws: build it with a ViewMaker or pass draws=")
        return self.draws

    @staticmethod
    def cat(views: Sequence[View]) -> View:
        """Views of equal size as one view of `sum(B)` samples, so that they share one forward pass."""
        from ssl_platform.views.stack import cat

        return cat(views)


class Views(Sequence[View]):
    """The views of a batch, in the order of the plan.

    `views[0]`, unpacking and iteration go by order; `views["local"]` gives the list of views with that role.
    """

    def __init__(self, views: Sequence[View]) -> None:
        self._views = list(views)

    @overload
    def __getitem__(self, key: int) -> View: ...
    @overload
    def __getitem__(self, key: slice) -> list[View]: ...
    @overload
    def __getitem__(self, key: str) -> list[View]: ...
    def __getitem__(self, key: int | slice | str) -> View | list[View]:
        if isinstance(key, str):
            found = [v for v in self._views if v.role == key]
            if not found:
                raise KeyError(f"no view with role {key!r}; the plan has {sorted({v.role for v in self._views})}")
            return found
        return self._views[key]

    def __len__(self) -> int:
        return len(self._views)

    def __iter__(self) -> Iterator[View]:
        return iter(self._views)
