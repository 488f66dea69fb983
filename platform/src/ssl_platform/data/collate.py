"""Samples to a batch: one bucket, stacked in storage dtype."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ssl_platform.errors import DataError
from ssl_platform.types import Batch, Layout, Part, PartBatch, Sample

# types torch lacks or computes little with, and the next that holds their values
_STORED = {"uint16": np.int32, "uint32": np.int64, "uint64": np.float64, "bool": np.uint8, "float64": np.float32}


def collate(samples: Sequence[Sample], layout: Layout, channels: Sequence[str] = ()) -> Batch:
    """Stack samples.

    Args:
        samples: of one bucket: same parts and sizes, and same channels unless the layout pads them.
        layout: of their domain.
        channels: names of all channels of the data, in order; main parts are padded to them where the layout pads
            (empty: to the union of the samples').

    Raises:
        DataError: the samples do not belong together.
    """
    reads = tuple(
        _read([sample.reads[i] for sample in samples], layout, channels) for i in range(len(samples[0].reads))
    )
    names = layout.meta
    return Batch(
        reads=reads,
        index=torch.tensor([s.index for s in samples], dtype=torch.int64),
        group=torch.tensor([s.group for s in samples], dtype=torch.int64),
        position=torch.tensor([s.position for s in samples], dtype=torch.int64),
        meta={name: torch.tensor([s.meta[name] for s in samples], dtype=torch.float32) for name in names},
        label=_labels([s.label for s in samples]),
    )


def _labels(labels: Sequence[object]) -> Tensor | None:
    if any(label is None for label in labels):
        return None
    stacked = torch.from_numpy(np.stack([np.asarray(label) for label in labels]))
    return stacked if stacked.is_floating_point() else stacked.long()


def _read(parts: Sequence[dict[str, Part]], layout: Layout, channels: Sequence[str]) -> dict[str, PartBatch]:
    names = parts[0].keys()
    if any(p.keys() != names for p in parts):
        raise DataError(f"samples of one batch have unlike parts: {sorted({', '.join(sorted(p)) for p in parts})}")
    return {name: _part([p[name] for p in parts], name, layout, channels if name == "main" else ()) for name in names}


def _part(parts: Sequence[Part], name: str, layout: Layout, channels: Sequence[str]) -> PartBatch:
    sets = dict.fromkeys(part.channels for part in parts)
    dtype = np.result_type(*(part.data.dtype for part in parts))
    dtype = np.dtype(_STORED.get(dtype.name, dtype.newbyteorder("=")))
    channel_valid = None
    if layout.ragged_channels and (channels or len(sets) > 1):
        union = tuple(channels or dict.fromkeys(c for names in sorted(sets, key=lambda s: -len(s)) for c in names))
        data, channel_valid = _pad_channels(parts, union, layout, dtype)
    elif len(sets) > 1:
        raise DataError(f"samples of one batch have unlike channels in {name!r}: {sorted(map(str, sets))}")
    else:
        union = parts[0].channels
        data = _stack([part.data for part in parts], dtype, name)
    rank = layout.rank
    none = (0.0,) * rank
    return PartBatch(
        data=data,
        valid=_validity(parts, layout),
        channel_valid=channel_valid,
        spacing=torch.tensor([part.spacing or (1.0,) * rank for part in parts], dtype=torch.float32),
        origin=torch.tensor([part.origin or none for part in parts], dtype=torch.float32),
        channels=union,
    )


def _stack(arrays: Sequence[np.ndarray], dtype: np.dtype, name: str) -> Tensor:
    if len({a.shape for a in arrays}) > 1:
        raise DataError(f"samples of one batch have unlike shapes in {name!r}: {sorted({a.shape for a in arrays})}")
    out = np.empty((len(arrays), *arrays[0].shape), dtype)
    for i, array in enumerate(arrays):
        out[i] = array
    return torch.from_numpy(out)


def _pad_channels(
    parts: Sequence[Part], union: tuple[str, ...], layout: Layout, dtype: np.dtype
) -> tuple[Tensor, Tensor]:
    """Channels by name into the union's places, the layout's fill value elsewhere; `[B, C]` says which are real."""
    place = {name: i for i, name in enumerate(union)}
    unknown = sorted({c for part in parts for c in part.channels} - place.keys())
    if unknown:
        raise DataError(f"a sample has the channels {', '.join(unknown)}, which no row of the catalog names")
    first = parts[0].data.shape
    shape = (*first[:-1], len(union)) if layout.points else (len(union), *first[1:])
    out = np.full((len(parts), *shape), layout.fill, dtype)
    real = np.zeros((len(parts), len(union)), dtype=bool)
    for i, part in enumerate(parts):
        slots = [place[c] for c in part.channels]
        if layout.points:
            out[i][..., slots] = part.data
        else:
            out[i][slots] = part.data
        real[i, slots] = True
    return torch.from_numpy(out), torch.from_numpy(real)


def _validity(parts: Sequence[Part], layout: Layout) -> Tensor | None:
    if all(part.valid is None for part in parts):
        return None
    shapes = [part.data.shape[:1] if layout.points else part.data.shape[1:] for part in parts]
    masks = [np.ones(s, dtype=bool) if p.valid is None else p.valid for p, s in zip(parts, shapes, strict=True)]
    return torch.from_numpy(np.stack(masks))


def map_tensors(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """The batch with every tensor changed (moved, pinned)."""

    def maybe(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else change(tensor)

    reads = tuple(
        {
            name: PartBatch(
                data=change(part.data),
                valid=maybe(part.valid),
                channel_valid=maybe(part.channel_valid),
                spacing=change(part.spacing),
                origin=change(part.origin),
                channels=part.channels,
            )
            for name, part in read.items()
        }
        for read in batch.reads
    )
    return Batch(
        reads=reads,
        index=change(batch.index),
        group=change(batch.group),
        position=change(batch.position),
        meta={name: change(values) for name, values in batch.meta.items()},
        label=maybe(batch.label),
    )


def to_device(batch: Batch, device: torch.device | str) -> Batch:
    """The batch on a device; from pinned memory without waiting."""
    return map_tensors(batch, lambda tensor: tensor.to(device, non_blocking=True))
