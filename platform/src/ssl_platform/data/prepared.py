"""An item in its normalised grid, as a domain prepares it and as the cache gives it back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ssl_platform.data.blocks import BlockArray, BlockMask
from ssl_platform.data.squeezed import SqueezedArray, SqueezedMask
from ssl_platform.errors import Unreadable
from ssl_platform.types import Row

Blocks = BlockArray | SqueezedArray
"""An array on disk."""
Mask = BlockMask | SqueezedMask
"""A validity mask on disk."""


@dataclass
class Prepared:
    """A whole item in the grid its windows are read from.

    A domain's `prepare` fills it with plain arrays; from the cache or from shards, `data` and `valid` are
    arrays on disk (`Blocks`, `Mask`): boxes read only what they cover and `np.asarray` gives all.

    Attributes:
        data: `[C, *shape]` in storage dtype (int16, uint8, float16 and float32 are usual).
        spacing: physical size of a cell along each spatial axis; empty when there is none.
        channels: channel names, length C.
        valid: `[*shape]` bool, False where the file has no data; None when all is valid. Values that are not finite
            become invalid when the item is stored.
        foreground: `[n, S]` int32 cells sampled from the foreground, or None.
        facts: statistics of the valid values (`min`, `max`, `mean`, `std`, `valid` are added when missing).
        geometry: what the domain needs to go back to the source's own geometry: plain data and small numpy arrays.
        grid: shape of the grid windows are placed on, where that is not the data's own (a waveform whose windows become
            spectrograms on the device); empty otherwise. It is compared with the row's and not stored.
    """

    data: np.ndarray | Blocks
    spacing: tuple[float, ...] = ()
    channels: tuple[str, ...] = ()
    valid: np.ndarray | Mask | None = None
    foreground: np.ndarray | None = None
    facts: dict[str, float] = field(default_factory=dict)
    geometry: dict[str, Any] = field(default_factory=dict)
    grid: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial sizes."""
        return tuple(self.data.shape[1:])


def settle(prepared: Prepared, row: Row, fill: float) -> Prepared:
    """What a domain prepared, ready to be stored: finite, with validity and facts.

    Args:
        prepared: from `Domain.prepare`.
        row: the item.
        fill: value of invalid cells.

    Raises:
        Unreadable: it has no valid value, or its shape is not the row's.
    """
    data = np.asarray(prepared.data)
    shape = tuple(prepared.grid or data.shape[1:])
    if row.shape and shape != tuple(row.shape):
        raise Unreadable(f"its header promises shape {tuple(row.shape)}, its content has {shape}")
    valid = None if prepared.valid is None else np.asarray(prepared.valid, dtype=bool)
    if np.issubdtype(data.dtype, np.floating):
        finite = np.isfinite(data).all(axis=0)
        if not finite.all():
            valid = finite if valid is None else valid & finite
    if valid is not None:
        if valid.all():
            valid = None
        elif not valid.any():
            raise Unreadable("it has no valid value")
        else:
            data = np.where(valid[None], data, np.asarray(fill, dtype=data.dtype))
    return Prepared(
        data=data,
        spacing=tuple(prepared.spacing),
        channels=tuple(prepared.channels),
        valid=valid,
        foreground=_cells(prepared.foreground),
        facts={**measure(data, valid), **prepared.facts},
        geometry=prepared.geometry,
    )


def measure(data: np.ndarray, valid: np.ndarray | None) -> dict[str, float]:
    """`min`, `max`, `mean` and `std` of the valid values of `[C, *shape]`, and `valid`, their fraction."""
    values = data.reshape(-1) if valid is None else data[:, valid]
    if values.size == 0:
        return {"min": 0.0, "max": 0.0, "mean": 0.0, "std": 0.0, "valid": 0.0}
    return {
        "min": float(values.min()),
        "max": float(values.max()),
        "mean": float(values.mean(dtype=np.float64)),
        "std": float(values.std(dtype=np.float64)),
        "valid": values.size / data.size,
    }


def _cells(foreground: np.ndarray | None) -> np.ndarray | None:
    return None if foreground is None or len(foreground) == 0 else np.asarray(foreground, dtype=np.int32)
