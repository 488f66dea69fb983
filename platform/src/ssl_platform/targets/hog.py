"""Histograms of oriented gradients (Dalal, Triggs, 2005) of grids of any rank: a target that needs no tokenizer.

In the plane these are MaskFeat's (Wei et al., 2022): Sobel gradients with reflected borders, unsigned orientations in
`bins` equal bins over 180 degrees without interpolation, magnitudes summed over cells, and each cell's histogram scaled
to unit length. On a line the two bins are rise and fall. In space the bins are the 13 axes through a cube's faces,
edges and corners, so that quarter turns only permute them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.errors import ConfigError
from ssl_platform.losses.precision import full_precision
from ssl_platform.nn.patches import crop, pad_to_patches
from ssl_platform.nn.tokenizer import Tokenizer
from ssl_platform.types import View


def hog_bins(axes: int, bins: int = 9) -> int:
    """Bins of a histogram over directions of `axes` axes: 2 on a line, `bins` in the plane, 13 in space."""
    return {1: 2, 2: bins, 3: 13}[axes]


@full_precision
@torch.no_grad()
def hog(
    x: Tensor, cell: Sequence[int], bins: int = 9, valid: Tensor | None = None, axes: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """Histogram maps.

    Args:
        x: `[B, C, *size]`, finite also where invalid.
        cell: cells of the grid that share a histogram, along each axis; the last ones may reach beyond the grid.
        bins: over 180 degrees, in the plane.
        valid: `[B, *size]` bool; gradients that touch an invalid cell count nowhere.
        axes: differentiate along the last so many axes only (2 of 3: slice by slice, frame by frame); None: all.

    Returns:
        `[B, C * bins, *grid]` (bins of a channel side by side), each channel's histogram of unit length or zero, and
        `[B, 1, *grid]` bool, where there is any gradient to count (None: everywhere).
    """
    axes = axes or x.ndim - 2
    gradient = _gradients(x, axes)
    magnitude = torch.stack(gradient).square().sum(0).sqrt()
    if valid is not None:
        inside = _all_neighbours(valid[:, None], axes)
        magnitude = torch.where(inside, magnitude, torch.zeros((), dtype=x.dtype, device=x.device))
    number = _bin_of(gradient, bins)
    histogram = [_cell_sum(torch.where(number == b, magnitude, 0.0), cell) for b in range(hog_bins(axes, bins))]
    found = F.normalize(torch.stack(histogram, dim=2), dim=2).flatten(1, 2)
    return found, None if valid is None else _cell_sum(inside.to(x.dtype), cell) > 0


def _gradients(x: Tensor, axes: int) -> list[Tensor]:
    """Sobel gradients along the last `axes` axes, of the shape of `x`."""
    found = []
    for along in range(x.ndim - axes, x.ndim):
        g = x
        for axis in range(x.ndim - axes, x.ndim):
            before, after = _neighbours(g, axis)
            g = after - before if axis == along else before + 2.0 * g + after
        found.append(g)
    return found


def _neighbours(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """The cells before and after each along an axis; at the border the inner neighbour stands in (reflection)."""
    n = x.shape[axis]
    if n == 1:
        return x, x
    before = torch.cat([x.narrow(axis, 1, 1), x.narrow(axis, 0, n - 1)], dim=axis)
    after = torch.cat([x.narrow(axis, 1, n - 1), x.narrow(axis, n - 2, 1)], dim=axis)
    return before, after


def _all_neighbours(valid: Tensor, axes: int) -> Tensor:
    """Cells whose whole neighbourhood is valid."""
    for axis in range(valid.ndim - axes, valid.ndim):
        before, after = _neighbours(valid, axis)
        valid = before & valid & after
    return valid


def _bin_of(gradient: list[Tensor], bins: int) -> Tensor:
    """The bin of each gradient's direction."""
    if len(gradient) == 1:
        return (gradient[0] < 0).long()
    if len(gradient) == 2:
        vertical, horizontal = gradient
        # Folded to one half-plane first: an angle of exactly 180 degrees must not depend on rounding.
        flip = (horizontal < 0) | ((horizontal == 0) & (vertical < 0))
        angle = torch.atan2(horizontal.abs(), torch.where(flip, -vertical, vertical))
        return (angle * (bins / math.pi)).floor().long().clamp_(0, bins - 1)
    like = gradient[0]
    steepest, number = torch.full_like(like, -1.0), torch.zeros_like(like, dtype=torch.long)
    for n, direction in enumerate(_axes_of_a_cube()):
        along = torch.stack([w * g for w, g in zip(direction, gradient, strict=True)]).sum(0).abs()
        closer = along > steepest
        steepest, number = torch.where(closer, along, steepest), torch.where(closer, n, number)
    return number


def _axes_of_a_cube() -> list[tuple[float, float, float]]:
    """13 unit vectors through faces, edges and corners of a cube, one of each opposite pair."""
    found = []
    for signs in itertools.product((-1, 0, 1), repeat=3):
        first = next((s for s in signs if s), 0)
        if first > 0:
            length = math.hypot(*signs)
            found.append((signs[0] / length, signs[1] / length, signs[2] / length))
    return found


def _cell_sum(x: Tensor, cell: Sequence[int]) -> Tensor:
    """Sums over the cells of `[B, C, *size]`: `[B, C, *grid]`."""
    x = pad_to_patches(x, cell)
    for axis, length in enumerate(cell):
        x = x.unflatten(2 + axis, (-1, length)).sum(3 + axis)
    return x


def cell_of(patch: Sequence[int], cells: int) -> tuple[int, ...]:
    """The largest divisors of a patch's sides that are at most `cells`."""
    return tuple(max(d for d in range(1, p + 1) if p % d == 0 and d <= max(1, cells)) for p in patch)


def hog_tokens(
    view: View, tokenizer: Tokenizer, cell: Sequence[int], bins: int = 9, axes: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """The histograms of each token: cells of a token first, then channels, then bins.

    Args:
        view: normalised, on a grid.
        tokenizer: whose tokens are described.
        cell: cells of the grid that share a histogram; they divide the tokenizer's patch, or are multiples of it, and
            then a token has the one histogram it lies in.
        bins: as in `hog`.
        axes: as in `hog`.

    Returns:
        `[B, N, T]` with T of `hog_width`, and `[B, N, T]` bool, which values are real (None: all).
    """
    maps, real = hog(view.x, cell, bins, view.valid, axes)
    size, number = view.x.shape[2:], hog_bins(axes or tokenizer.rank, bins)
    # The tokenizer itself says which values are whose: each bin goes through it as a view whose cells are constant.
    if real is not None:
        view = view.replace(valid=_widen(real, cell, size)[:, 0] > 0)
    parts = [
        _first(tokenizer.targets(view.replace(x=_widen(maps[:, n::number], cell, size))), tokenizer, cell)
        for n in range(number)
    ]
    valid = tokenizer.target_valid(view)
    if valid is not None:
        valid = _first(valid, tokenizer, cell)[..., None].expand(-1, -1, -1, number).flatten(2)
    return torch.stack(parts, dim=-1).flatten(2), valid


def _widen(x: Tensor, cell: Sequence[int], size: Sequence[int]) -> Tensor:
    """`[B, C, *grid]` repeated over the cells of the grid: `[B, C, *size]`."""
    return crop(F.interpolate(x.float() if x.dtype == torch.bool else x, scale_factor=tuple(map(float, cell))), size)


def _first(values: Tensor, tokenizer: Tokenizer, cell: Sequence[int]) -> Tensor:
    """Of `[B, N, T]` raw contents the values at the first place of each cell."""
    split = values.unflatten(-1, (*patch_of(tokenizer), -1))
    return split[(..., *(slice(None, None, step) for step in cell), slice(None))].flatten(2)


def hog_width(tokenizer: Tokenizer, cell: Sequence[int], bins: int = 9, axes: int | None = None) -> int:
    """T of `hog_tokens`."""
    within = math.prod(map(min, cell, patch_of(tokenizer)))
    return tokenizer.target_dim // within * hog_bins(axes or tokenizer.rank, bins)


def patch_of(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The tokenizer's patch.

    Raises:
        ConfigError: its tokens are of sets.
    """
    if tokenizer.patch is None:
        raise ConfigError("gradient histograms need views on a grid, these are point sets")
    return tokenizer.patch
