"""What travels through the platform.

    files -> Row -> Window -> Sample -> Batch -> View -> Tokens, Mask -> Features -> Loss -> Result

Everything up to `Sample` is numpy and may be built in a worker without torch; from `Batch` on it is tensors on the
device. Importing this module does not import torch.

Axes: B batch, C channels, D H W depth height width, T time, F frequency bins, N tokens or points, S spatial rank,
K chosen tokens, M masks of a sample, P prefix tokens, R reads of a sample.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ssl_platform.draws import Draws

Scalar = str | int | float | bool | None


# --------------------------------------------------------------------------------------------- what a domain looks like
@dataclass(frozen=True)
class Channel:
    """One channel of a domain.

    Attributes:
        name: unique within the layout, e.g. `ct`, `B08`, `x`.
        unit: physical unit: `HU`, `reflectance`, `dB`, `m`; empty when unknown. Of point sets, S channels in a row with
            the unit `direction` are a vector, which turns with the view.
        wavelength: centre wavelength in nm, or None.
        bounds: the physical range `(low, high)` used when values must be mapped to `[0, 1]`, or None.
    """

    name: str
    unit: str = ""
    wavelength: float | None = None
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Layout:
    """What the generic view toolkit, tokenizers and objectives may assume about a domain.

    Attributes:
        axes: `"C D H W"`, `"C T H W"`, `"C H W"`, `"C F T"`, `"C T"`, or `"N C"` for point sets (the first S channels
            are the coordinates).
        channels: known channels, or empty when they vary by item (an item's names are in its Row).
        unit: unit of spacing along the spatial axes (`mm`, `m`, `um`, `s`).
        symmetries: transformations that keep meaning, to augment with: `flip:W`, `rotate:HW` (any angle in that plane),
            `rot90:HW`, `scale`, `gain`, `offset`, `gamma`, `blur`, `noise`, `channel-drop`, `cutout`. `scale:HW` and
            `blur:HW` name some axes only; without letters they mean all.
        moves: transformations that are exact on this grid, which pretexts may predict: `rot90:HW`, `flip:W`, `shuffle`.
        fill: value of what lies outside the item (it is also marked invalid).
        ragged_channels: whether batches are padded to the largest channel count with channel validity.
        meta: names of the numeric facts `Row.meta` may hold that travel with a batch.
        relations: relations between the reads of a sample that the domain offers: `same`, `overlap`, `time`, `place`,
            `modality`, `speed`, `anatomy`, `table`.
    """

    axes: str
    channels: tuple[Channel, ...] = ()
    unit: str = ""
    symmetries: frozenset[str] = frozenset()
    moves: frozenset[str] = frozenset()
    fill: float = 0.0
    ragged_channels: bool = False
    meta: tuple[str, ...] = ()
    relations: tuple[str, ...] = ("same", "overlap")

    @property
    def points(self) -> bool:
        """Whether items are point sets rather than grids."""
        return self.axes.split()[0] == "N"

    @property
    def spatial(self) -> tuple[str, ...]:
        """Names of the spatial axes in storage order, e.g. `("D", "H", "W")`; `("X", "Y", "Z")` for point sets."""
        return ("X", "Y", "Z") if self.points else tuple(self.axes.split()[1:])

    @property
    def rank(self) -> int:
        """Number of spatial axes S."""
        return len(self.spatial)


# ------------------------------------------------------------------------------------------------- files to samples
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


# ------------------------------------------------------------------------------------------------------ on the device
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


@dataclass
class Tokens:
    """A view cut into tokens, before positions are added.

    Attributes:
        values: `[B, N, V]` what the tokenizer's `embed_values` turns into `[B, N, D]` in `encode`: raw patches, so that
            tokens which stay hidden are never embedded, or embedded tokens already.
        coords: `[B, N, S]` centres in `[0, 1]` over the view.
        extent: `[B, S]` physical size of the view.
        grid: tokens along each axis (row-major order in N), or None for sets.
        valid: `[B, N]` bool, or None when all are valid.
        kind: `[B, N]` int64 band group, date, channel or object, or None.
        parent: `[B, N]` int64 index of the coarser token each belongs to, or None.
    """

    values: Tensor
    coords: Tensor
    extent: Tensor
    grid: tuple[int, ...] | None = None
    valid: Tensor | None = None
    kind: Tensor | None = None
    parent: Tensor | None = None

    @property
    def count(self) -> int:
        """Number of tokens N."""
        return int(self.values.shape[1])


@dataclass
class Mask:
    """A chosen set of tokens for each sample, with a static number K.

    Attributes:
        index: `[B, K]` or `[B, M, K]` int64 token positions.
        total: N, the number of tokens chosen from.
        valid: same shape as `index`, False for padding of short rows; None when all are real.
        grid: the token grid, or None for sets.
    """

    index: Tensor
    total: int
    valid: Tensor | None = None
    grid: tuple[int, ...] | None = None

    def dense(self) -> Tensor:
        """`[B, N]` (or `[B, M, N]`) bool, True where chosen."""
        from ssl_platform.masking.mask import dense

        return dense(self)

    def to(self, grid: tuple[int, ...]) -> Tensor:
        """The dense mask on a coarser or finer grid: `[B, prod(grid)]` bool (nearest cell)."""
        from ssl_platform.masking.mask import resize

        return resize(self, grid)

    def gather(self, values: Tensor) -> Tensor:
        """The chosen rows of `[B, N, ...]`: `[B, K, ...]` (or `[B, M, K, ...]`)."""
        from ssl_platform.masking.mask import gather

        return gather(self, values)


@dataclass
class Features:
    """What a backbone returns.

    Attributes:
        pooled: `[B, D]`.
        prefix: `[B, P, D]` class tokens, registers, prompts; P may be 0.
        tokens: `[B, N, D]` (only the visible ones, in the order of `visible.index`), or None for nets without tokens.
        coords: `[B, N, S]` of those tokens, or None.
        valid: `[B, N]` bool, or None.
        grid: token grid when all tokens are present, else None.
        pyramid: `[(map [B, D_i, *grid_i], stride)]` fine to coarse; empty when not offered.
        taps: outputs asked for by name.
    """

    pooled: Tensor
    prefix: Tensor
    tokens: Tensor | None = None
    coords: Tensor | None = None
    valid: Tensor | None = None
    grid: tuple[int, ...] | None = None
    pyramid: list[tuple[Tensor, int]] = field(default_factory=list)
    taps: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Loss:
    """What an objective returns.

    Attributes:
        total: scalar to differentiate: the rank's share, whose mean over ranks is the global-batch loss.
        terms: named scalars to log (detached by the trainer).
        watch: tensors the health monitor and `after_step` read: `embedding [B, D]`, `teacher_probs [B, K]`,
            `prediction`, `target`, or an objective's own.
    """

    total: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)
    watch: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """Where in a run an objective's hook is called.

    Attributes:
        step: optimiser steps done before this one.
        total: optimiser steps of the run.
        epoch_steps: optimiser steps of one pass over the data (at least 1).
        batch: samples of one optimiser step, over all ranks and micro-batches.
        lr: learning rate of the first group at this step.
    """

    step: int
    total: int
    epoch_steps: int = 1
    batch: int = 1
    lr: float = 0.0

    @property
    def progress(self) -> float:
        """Fraction of the run done, in `[0, 1]`."""
        return min(1.0, self.step / max(1, self.total))


@dataclass(frozen=True)
class Metric:
    """One number with its uncertainty.

    Attributes:
        value: the estimate.
        ci95: lower and upper bound, or None.
        ci_over: what was resampled or repeated: `groups`, `evaluation seeds`, `pretraining seeds`.
    """

    value: float
    ci95: tuple[float, float] | None = None
    ci_over: str | None = None


@dataclass
class Result:
    """What a protocol returns.

    Attributes:
        metrics: `{name: Metric}`; names read `protocol/metric`, e.g. `knn/accuracy`.
        predictions: per-item predictions for reports, or None.
        details: further facts (chosen k, layers, classes).
    """

    metrics: dict[str, Metric]
    predictions: Any = None
    details: dict[str, Any] = field(default_factory=dict)
