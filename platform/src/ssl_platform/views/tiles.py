"""Boxes of whole cells cut from a view, for grids of any rank: puzzle tiles, neighbouring patches, quadrants, holes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.errors import ConfigError
from ssl_platform.types import View
from ssl_platform.views.constants import constant

_TAPS = ((1.0, 1.0), (1.0,), (1.0, 3.0, 3.0, 1.0))
RESIZINGS = len(_TAPS)
"""Ways to resize that `halved` knows."""


@dataclass(frozen=True)
class TileGrid:
    """A view divided into equal parts with a smaller tile in each.

    Attributes:
        side: parts along each axis.
        part: cells of a part along each axis; what does not divide is left over at the end.
        tile: cells of a tile along each axis, at most those of a part.
    """

    side: int
    part: tuple[int, ...]
    tile: tuple[int, ...]

    @staticmethod
    def over(size: Sequence[int], side: int, share: float = 1.0, multiple: Sequence[int] | None = None) -> TileGrid:
        """The grid for views of `size` cells.

        Args:
            size: cells of the view along each axis.
            side: parts along each axis.
            share: of a part's side that its tile takes, in (0, 1].
            multiple: tiles as long as this are cut down to whole multiples of it (the backbone's patch).

        Raises:
            ConfigError: the view has fewer cells than parts.
        """
        if min(size) < side:
            cells = "x".join(map(str, size))
            raise ConfigError(
                f"views of {cells} cells cannot be cut into {side} parts an axis: raise views.global_size"
            )
        part = tuple(n // side for n in size)
        tile = [max(1, int(n * share + 1e-6)) for n in part]
        if multiple is not None:
            tile = [n // m * m or n for n, m in zip(tile, multiple, strict=True)]
        return TileGrid(side, part, tuple(tile))

    @property
    def count(self) -> int:
        """Tiles of a view."""
        return int(self.side ** len(self.part))

    @property
    def places(self) -> tuple[tuple[int, ...], ...]:
        """Place of every part in the grid, row-major."""
        return tuple(itertools.product(range(self.side), repeat=len(self.part)))

    @property
    def slack(self) -> tuple[int, ...]:
        """Cells along each axis by which a tile may be moved inside its part."""
        return tuple(p - t for p, t in zip(self.part, self.tile, strict=True))

    def centred(self, device: torch.device) -> Tensor:
        """`[T, S]` int64 first cells of tiles in the middle of their parts."""
        first = [p * n + s // 2 for place in self.places for p, n, s in zip(place, self.part, self.slack, strict=True)]
        return constant(tuple(first), device).long().view(-1, len(self.part))

    def scattered(self, draws: Draws) -> Tensor:
        """`[B, T, S]` int64 first cells of tiles anywhere in their parts, such that no two tiles touch.

        Where a tile has no room the tiles touch, and none is moved.
        """
        rank = len(self.part)
        room = constant(tuple(float(max(1, s)) for s in self.slack), draws.keys.device)
        moved = torch.minimum((draws.uniform("tiles", self.count, rank) * room).floor(), room - 1)
        first = constant(
            tuple(float(p * n) for place in self.places for p, n in zip(place, self.part, strict=True)), room.device
        )
        return (first.view(-1, rank) + moved).long()


def cut(view: View, start: Tensor, size: Sequence[int]) -> View:
    """Boxes of a view as a view of `B * T` samples, those of a sample next to each other.

    Args:
        view: x `[B, C, *cells]`.
        start: `[B, T, S]` int64 first cells.
        size: cells of a box along each axis.
    """
    b, t, _ = start.shape
    cells = view.x.shape[2:]
    index = torch.zeros((b, t, *(1 for _ in cells)), dtype=torch.int64, device=start.device)
    for axis, (length, n) in enumerate(zip(cells, size, strict=True)):
        along = start[:, :, axis, None] + torch.arange(n, device=start.device)  # [B, T, n]
        index = index * length + along.view(b, t, *(n if a == axis else 1 for a in range(len(cells))))
    index = index.flatten(1)[:, None]  # [B, 1, T * box]

    def boxes(values: Tensor) -> Tensor:
        taken = values.flatten(2).gather(2, index.expand(-1, values.shape[1], -1))
        return taken.view(b, values.shape[1], t, *size).transpose(1, 2).flatten(0, 1)

    valid = None if view.valid is None else boxes(view.valid[:, None])[:, 0]
    return _several(view, t, boxes(view.x), valid)


def halved(view: View, method: Tensor | None = None) -> View:
    """A view at half its resolution along every axis.

    Args:
        view: x `[B, C, *size]` with even sizes.
        method: `[B]` int64, how each sample is resized: 0 the mean of each block of two cells an axis, 1 one of them,
            2 a triangle filter over four cells an axis; all by 0 when None. A network that keys on the traces of one
            resizing then fails on the others.
    """
    weight = None if view.valid is None else view.valid[:, None].to(view.x.dtype)
    ways = [_filtered(view.x, weight, taps) for taps in (((1.0, 1.0),) if method is None else _TAPS)]
    x, share = ways[0]
    for number, (other, known) in enumerate(ways[1:], start=1):
        assert method is not None
        mine = (method == number).view(-1, *(1 for _ in x.shape[1:]))
        x = torch.where(mine, other, x)
        share = None if share is None or known is None else torch.where(mine, known, share)
    valid = None if share is None else share[:, 0] > _HALF
    spacing = None if view.spacing is None else view.spacing * 2
    return view.replace(x=x, valid=valid, spacing=spacing, geometry=None)


_HALF = 0.5 - 1e-3  # share of valid weight from which a coarse cell counts as valid


def _filtered(x: Tensor, weight: Tensor | None, taps: tuple[float, ...]) -> tuple[Tensor, Tensor | None]:
    """Every second cell of a filtered grid, weighted by validity, and the share of valid weight."""
    if weight is None:
        return _along(x, taps), None
    share = _along(weight, taps)
    zero = torch.zeros((), dtype=x.dtype, device=x.device)
    return _along(torch.where(weight > 0, x, zero), taps) / share.clamp_min(1e-6), share


def _along(x: Tensor, taps: tuple[float, ...]) -> Tensor:
    """One pass an axis; the border repeats its last cell."""
    total, reach = sum(taps), (len(taps) - 1) // 2
    for axis in range(2, x.ndim):
        line = x.movedim(axis, -1)
        if reach:
            line = F.pad(line.flatten(1, -2), (reach, reach), mode="replicate").unflatten(1, line.shape[1:-1])
        n = x.shape[axis] // 2
        parts = [tap / total * line[..., k : k + 2 * n - 1 : 2] for k, tap in enumerate(taps)]
        x = torch.stack(parts).sum(0).movedim(-1, axis)
    return x


def seen(view: View) -> Tensor | None:
    """`[B]` bool, whether a sample has any valid cell; None when all have."""
    return None if view.valid is None else view.valid.flatten(1).any(1)


def moments(view: View) -> tuple[Tensor, Tensor]:
    """`[B, C, *1]` mean and deviation of the valid cells, zero for samples without any."""
    shape = (*view.x.shape[:2], *(1 for _ in view.x.shape[2:]))
    flat = view.x.flatten(2)
    if view.valid is None:
        variance, mean = torch.var_mean(flat, dim=2, correction=0)
        return mean.view(shape), variance.sqrt().view(shape)
    real = view.valid.flatten(1)[:, None]
    zero = torch.zeros((), dtype=flat.dtype, device=flat.device)
    count = real.sum(2).clamp_min(1)
    mean = torch.where(real, flat, zero).sum(2) / count
    variance = torch.where(real, flat - mean[:, :, None], zero).square().sum(2) / count
    return mean.view(shape), variance.sqrt().view(shape)


def _several(view: View, count: int, x: Tensor, valid: Tensor | None) -> View:
    """A view of `count` boxes of each sample, with the sample's facts repeated."""

    def repeated(values: Tensor | None) -> Tensor | None:
        return None if values is None else values.repeat_interleave(count, dim=0)

    return view.replace(
        x=x,
        valid=valid,
        channel_valid=repeated(view.channel_valid),
        index=repeated(view.index),
        group=repeated(view.group),
        spacing=repeated(view.spacing),
        geometry=None,
        draws=None,
        label=repeated(view.label),
        meta={name: value.repeat_interleave(count, dim=0) for name, value in view.meta.items()},
        params={},
    )
