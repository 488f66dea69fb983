"""Move a batch to the device in its storage type."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ssl_platform.types import Batch, PartBatch


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The same batch on `device`; copies from pinned memory do not wait."""

    def move(value: Tensor) -> Tensor:
        return value.to(device, non_blocking=True)

    def maybe(value: Tensor | None) -> Tensor | None:
        return None if value is None else move(value)

    def part(p: PartBatch) -> PartBatch:
        return replace(
            p,
            data=move(p.data),
            valid=maybe(p.valid),
            channel_valid=maybe(p.channel_valid),
            spacing=move(p.spacing),
            origin=move(p.origin),
        )

    return replace(
        batch,
        reads=tuple({name: part(p) for name, p in read.items()} for read in batch.reads),
        index=move(batch.index),
        group=move(batch.group),
        position=move(batch.position),
        meta={name: move(v) for name, v in batch.meta.items()},
        label=maybe(batch.label),
    )
