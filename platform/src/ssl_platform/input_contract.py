"""What an encoder's input must be, and turning a plain array into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_platform.errors import EncoderError
from ssl_platform.types import View

_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


@dataclass(frozen=True)
class InputContract:
    """What an encoder was trained on.

    Attributes:
        axes: as in the layout: `"C D H W"`, `"N C"`...
        channels: names, in order.
        units: unit of each channel's values; empty where unknown.
        spacing: physical size of a cell along each axis; empty when cells have none.
        spacing_unit: of `spacing`.
        size: cells along each axis of the views it was trained on.
        options: the domain's own settings that prepared the data (orientation, windows, modality).
        wavelengths: centre of each channel in nm, None for one without; empty where no channel has any.
    """

    axes: str
    channels: tuple[str, ...]
    units: tuple[str, ...] = ()
    spacing: tuple[float, ...] = ()
    spacing_unit: str = ""
    size: tuple[int, ...] = ()
    options: Mapping[str, Any] | None = None
    wavelengths: tuple[float | None, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> InputContract:
        """The inverse of `as_dict`."""
        tuples = ("channels", "units", "spacing", "size", "wavelengths")
        known = {k: v for k, v in data.items() if k in cls.__dataclass_fields__}
        values: dict[str, Any] = {k: tuple(v) if k in tuples else v for k, v in known.items()}
        return cls(**values)

    @property
    def points(self) -> bool:
        """Whether items are point sets."""
        return self.axes.split()[0] == "N"

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return 3 if self.points else len(self.axes.split()) - 1

    def departures(self, *, channels: Sequence[str], spacing: Sequence[float], tolerance: float = 0.01) -> list[str]:
        """Ways in which other input departs from this one, a line each.

        Args:
            channels: its channel names.
            spacing: of its cells.
            tolerance: relative difference of spacing that is not worth a word.
        """
        found = []
        if tuple(channels) != self.channels:
            found.append(f"channels are {list(channels)}, the encoder was trained on {list(self.channels)}")
        if self.spacing and spacing and len(spacing) == len(self.spacing):
            apart = max(abs(a / b - 1) for a, b in zip(spacing, self.spacing, strict=True))
            if apart > tolerance:
                found.append(
                    f"spacing is {tuple(round(s, 4) for s in spacing)} {self.spacing_unit}, the encoder was trained on "
                    f"{tuple(round(s, 4) for s in self.spacing)}"
                )
        return found

    def batch_view(self, x: Tensor) -> View:
        """A tensor that already keeps the contract as a view: `[B, C, *size]` (or `[B, N, C]`).

        Raises:
            EncoderError: rank or channels do not fit.
        """
        count = x.shape[-1 if self.points else 1] if x.ndim >= 2 else 0
        if x.ndim != (3 if self.points else self.rank + 2) or count != len(self.channels):
            raise EncoderError(
                f"input of shape {tuple(x.shape)}: this encoder takes a batch of {self.axes!r} with "
                f"{len(self.channels)} channel(s) {list(self.channels)}"
            )
        spacing = torch.tensor(self.spacing or (1.0,) * self.rank, dtype=torch.float32, device=x.device)
        return View(x=x.float(), channels=self.channels, role="clean", spacing=spacing.expand(len(x), -1))

    def view_of(
        self,
        array: np.ndarray | Tensor,
        *,
        spacing: Sequence[float] | None = None,
        channels: Sequence[str] | None = None,
        size: Sequence[int] | None = None,
    ) -> View:
        """One item as a view of one sample; see `Encoder.preprocess`."""
        x = torch.as_tensor(np.ascontiguousarray(array) if isinstance(array, np.ndarray) else array).float()
        if not self.points and x.ndim == self.rank:
            x = x[None]
        x = self._ordered(x, channels)
        if self.points:
            return self.batch_view(x[None])
        if x.ndim != self.rank + 1:
            raise EncoderError(f"array of shape {tuple(x.shape)}: this encoder takes {self.axes!r}")
        valid = x.isfinite().all(dim=0)
        x = torch.where(valid, x, torch.zeros_like(x))
        x, valid = self._resampled(x, valid, spacing)
        x, valid = _centred(x, valid, tuple(size or self.size or x.shape[1:]))
        view = self.batch_view(x[None])
        return view if bool(valid.all()) else view.replace(valid=valid[None])

    def _ordered(self, x: Tensor, channels: Sequence[str] | None) -> Tensor:
        if channels is None:
            return x
        missing = [name for name in self.channels if name not in channels]
        if missing:
            raise EncoderError(f"channel {missing[0]!r} is missing: the encoder takes {list(self.channels)}")
        order = [list(channels).index(name) for name in self.channels]
        return x[..., order] if self.points else x[order]

    def _resampled(self, x: Tensor, valid: Tensor, spacing: Sequence[float] | None) -> tuple[Tensor, Tensor]:
        """Linear resampling to the contract's spacing; where cells get larger, their mean is taken first."""
        if not self.spacing:
            return x, valid
        if spacing is None:
            raise EncoderError(
                f"preprocess(array, spacing=...): this encoder was trained at {self.spacing} {self.spacing_unit}"
            )
        if len(spacing) != self.rank or min(spacing) <= 0:
            raise EncoderError(f"spacing={tuple(spacing)}: give {self.rank} positive numbers, one an axis")
        shape = [
            max(1, round(n * have / want)) for n, have, want in zip(x.shape[1:], spacing, self.spacing, strict=True)
        ]
        if shape == list(x.shape[1:]):
            return x, valid
        weight = valid[None].float()
        both = torch.cat([x * weight, weight])[None]
        for axis, n in enumerate(shape):  # an area mean along axes that shrink keeps thin structures
            factor = both.shape[2 + axis] // n
            if factor >= 2:
                kernel = [factor if i == axis else 1 for i in range(self.rank)]
                pool = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[self.rank]
                both = pool(both, kernel, ceil_mode=True)
        both = F.interpolate(both, size=shape, mode=_MODES[self.rank], align_corners=False)[0]
        share = both[-1]
        inside = share > 0.5
        return torch.where(inside, both[:-1] / share.clamp_min(1e-6), torch.zeros(())), inside


def _centred(x: Tensor, valid: Tensor, size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Cut or pad `[C, *shape]` around its centre; padding is invalid."""
    pads: list[int] = []
    for axis, want in enumerate(size):
        have = x.shape[1 + axis]
        if have > want:
            start = (have - want) // 2
            x, valid = x.narrow(1 + axis, start, want), valid.narrow(axis, start, want)
        before = max(0, want - have) // 2
        pads = [before, max(0, want - have) - before, *pads]
    return F.pad(x, pads), F.pad(valid, pads, value=False)
