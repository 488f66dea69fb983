"""What views are cut from, and what cutting returns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ssl_platform.types import Geometry, Layout, PartBatch


@dataclass(frozen=True)
class Source:
    """A part of a read, converted once for all its views.

    Attributes:
        part: as read.
        x: `[B, C, *window]` (or `[B, N, C]`) float32, zero where invalid, so that no invalid value goes further.
        valid: `[B, *window]` (or `[B, N]`) bool, or None.
        item: `[B]` int64 identity of the item, for geometry.
        spatial: whether the part has the layout's axes; others (text) pass through as they are.
        meta: `{name: [B]}`.
    """

    part: PartBatch
    x: Tensor
    valid: Tensor | None
    item: Tensor
    spatial: bool
    meta: dict[str, Tensor]

    def rows(self, own: slice) -> Source:
        """Values and facts of some of the samples (`item` stays whole)."""
        kept = None if self.part.channel_valid is None else self.part.channel_valid[own]
        return replace(
            self,
            part=replace(self.part, channel_valid=kept),
            x=self.x[own],
            valid=None if self.valid is None else self.valid[own],
            meta={name: value[own] for name, value in self.meta.items()},
        )


@dataclass(frozen=True)
class Made:
    """Values and provenance of one view: the fields of `View` of the same names."""

    x: Tensor
    valid: Tensor | None
    geometry: Geometry | None = None
    spacing: Tensor | None = None
    params: dict[str, Tensor] = field(default_factory=dict)


def load(part: PartBatch, layout: Layout, item: Tensor, meta: dict[str, Tensor]) -> Source:
    """Convert a part to float32 and clear what is invalid."""
    spatial = part.data.ndim == (3 if layout.points else layout.rank + 2)
    x = part.data.to(torch.float32)
    if not spatial:
        return Source(part, x, part.valid, item, spatial, meta)
    zero = torch.zeros((), device=x.device)
    if part.valid is not None:
        x = torch.where(part.valid[..., None] if layout.points else part.valid[:, None], x, zero)
    if part.channel_valid is not None:
        rows, channels = part.channel_valid.shape
        kept = part.channel_valid.view(rows, *((1, channels) if layout.points else (channels, *(1,) * layout.rank)))
        x = torch.where(kept, x, zero)
    return Source(part, x, part.valid, item, spatial, meta)


def present(part: PartBatch, params: dict[str, Tensor]) -> Tensor | None:
    """`[B, C]` bool, the channels a view still has: those read, less those an operation took away; None for all."""
    kept = part.channel_valid
    for name, absent in params.items():
        if name.endswith(".absent"):  # operations see the features of point sets, which follow the coordinates
            there = torch.nn.functional.pad(absent < 0.5, (len(part.channels) - absent.shape[1], 0), value=True)
            kept = there if kept is None else kept & there
    return kept
