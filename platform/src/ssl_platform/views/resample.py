"""One resample per view: crop, flip, quarter turn, rotation, scale and blur together.

Four paths give the same values where they overlap; which one runs depends only on what the plan allows, never on what
was drawn, so nothing is read back from the device:

    whole cells     index selection, bit-exact
    axis-aligned    one small matrix along each axis; anti-aliased, blur included
    one plane       the axis across it by matrix, the plane by a 2-D resample with that axis as channels
    any plane       a 3-D resample

Validity goes through the same weights. Invalid cells have weight zero, and a view cell is valid only if every source
cell it is made of is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.views.constants import exchange
from ssl_platform.views.crop_rule import Plane
from ssl_platform.views.crops import Crop
from ssl_platform.views.interpolation import apply_axes, apply_last, blur, gaussian_weights, linear_weights

_WHOLE = 1 - 1e-4  # share of valid weight from which a cell counts as valid


def resample(
    x: Tensor, valid: Tensor | None, crops: Sequence[Crop], size: tuple[int, ...], fill: float, sigma: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Views of equal size and kind of a batch of windows.

    Args:
        x: `[B, C, *window]` float32, finite, zero where invalid.
        valid: `[B, *window]` bool, or None.
        crops: V crops of the batch, of equal kind (`exact`, `planes`, swapped axes).
        size: cells of the views.
        fill: value of invalid cells.
        sigma: `[V * B, S]` blur in cells of the view, or None.

    Returns:
        `[V * B, C, *size]` float32 (all samples of the first view, then of the second) and `[V * B, *size]` bool, or
        None when everything is valid.
    """
    kind = crops[0]
    window = tuple(x.shape[2:])
    if kind.exact and kind.size == size:
        outside = any(n > m for n, m in zip(size, window, strict=True))
        y, mask = _whole_cells(x, valid, crops, size, outside)
    else:
        fused = sigma if kind.rotation is None and valid is None else None
        sigma = None if fused is not None else sigma
        source = x if valid is None else torch.cat([x, valid[:, None].to(x.dtype)], 1)
        if kind.rotation is None:
            y = _axis_aligned(source, crops, size, fused)
        elif len(kind.planes) == 1:
            y = _one_plane(source, crops, size, kind.planes[0])
        else:
            y = torch.cat([_any_plane(source, crop, size) for crop in crops])
        mask = None
        if valid is not None:
            share = y[:, -1]
            mask = share >= _WHOLE
            y = y[:, :-1] / share.clamp(min=1e-6)[:, None]
    for position, (a, b, _) in enumerate(kind.swaps):
        swapped = torch.cat([crop.swaps[position][2] for crop in crops])
        y = _swap(y, a + 2, b + 2, swapped)
        mask = None if mask is None else _swap(mask, a + 1, b + 1, swapped)
    if sigma is not None:
        y = blur(y, mask, sigma)
    if mask is not None:
        y = torch.where(mask[:, None], y, torch.full((), fill, device=y.device))
    return y, mask


def _swap(x: Tensor, a: int, b: int, swapped: Tensor) -> Tensor:
    """Axes a and b exchanged where `swapped` (`[B]`)."""
    return torch.where(swapped.view(-1, *(1 for _ in x.shape[1:])), x.transpose(a, b), x)


# ------------------------------------------------------------------------------------------------------- whole cells
def _whole_cells(
    x: Tensor, valid: Tensor | None, crops: Sequence[Crop], size: tuple[int, ...], outside: bool
) -> tuple[Tensor, Tensor | None]:
    centre, base = _stacked(crops)
    batch, channels, *window = x.shape
    indices, inside = [], []
    for axis, (n, length) in enumerate(zip(size, window, strict=True)):
        step = base[:, axis] / n  # exactly 1 or -1
        place = torch.arange(n, device=x.device) + 0.5 - n / 2
        index = torch.floor(centre[:, axis, None] + step[:, None] * place).long()
        inside.append((index >= 0) & (index < length))
        indices.append(index.clamp(0, length - 1))
    y = _select(x, indices, len(crops))
    mask = None if valid is None else _select(valid[:, None], indices, len(crops))[:, 0]
    if outside:
        for axis, within in enumerate(inside):
            spread = within.view(len(y), *(size[axis] if a == axis else 1 for a in range(len(size))))
            mask = spread.expand(len(y), *size) if mask is None else mask & spread
        assert mask is not None
        y = y * mask[:, None]
    return y.view(len(crops) * batch, channels, *size), mask


def _select(x: Tensor, indices: list[Tensor], views: int) -> Tensor:
    """`[V * B, C, *size]` cells of `[B, C, *window]` at one list of positions a sample and axis.

    All axes but the last are taken as whole rows, which copies memory in runs.
    """
    batch, channels, *window = x.shape
    rows = indices[0].shape[0]
    first = torch.arange(batch * channels, device=x.device).view(1, batch, channels)
    row = first.expand(views, -1, -1).reshape(rows, channels)
    for index, length in zip(indices[:-1], window[:-1], strict=True):
        row = (row[..., None] * length + index.view(rows, *(1 for _ in row.shape[1:]), -1)).contiguous()
    lines = x.reshape(-1, window[-1]).index_select(0, row.flatten()).view(rows, -1, window[-1])
    last = indices[-1][:, None].expand(-1, lines.shape[1], -1)
    return lines.gather(2, last).view(rows, channels, *(i.shape[1] for i in indices))


# ------------------------------------------------------------------------------------------------------ axis-aligned
def _axis_aligned(x: Tensor, crops: Sequence[Crop], size: tuple[int, ...], sigma: Tensor | None) -> Tensor:
    centre, base = _stacked(crops)
    batch, channels, *window = x.shape
    weights = [linear_weights(centre[:, a], base[:, a], n, window[a]) for a, n in enumerate(size)]
    if sigma is not None:
        unswapped = sigma
        for a, b, swapped in reversed(_joined_swaps(crops)):
            order = exchange(a, b, len(size), x.device)
            unswapped = torch.where(swapped[:, None], unswapped.index_select(1, order), unswapped)
        weights = [torch.bmm(gaussian_weights(unswapped[:, a], n), weights[a]) for a, n in enumerate(size)]
    weights = [_for_channels(w, channels) for w in weights]
    y = _first(x, weights[-1], len(crops))
    y = apply_axes(y, weights[:-1])
    return y.view(len(crops) * batch, channels, *size)


def _first(x: Tensor, weights: Tensor, views: int) -> Tensor:
    """Apply `[V * B * C, out, in]` to the last axis of `[B, C, *rest, in]`, reading the source once for each view.

    The result `[V * B * C, out, *rest]` is written in place of a copy of the source for each view.
    """
    source = x.flatten(0, 1)
    rows, *rest, length = source.shape
    lines = source.reshape(rows, -1, length).transpose(1, 2)
    out = torch.empty(len(weights), weights.shape[1], lines.shape[2], device=x.device)
    for view in range(views):
        part = slice(view * rows, (view + 1) * rows)
        torch.bmm(weights[part], lines, out=out[part])
    return out.view(len(weights), -1, *rest)


# ---------------------------------------------------------------------------------------------------------- rotation
def _one_plane(x: Tensor, crops: Sequence[Crop], size: tuple[int, ...], plane: Plane) -> Tensor:
    """Rotation in one plane; the axis across it (of rank 3) is resampled first and then rides along as channels."""
    a, b = plane
    channels, rank = x.shape[1], len(size)
    across = [axis for axis in range(rank) if axis not in plane]
    views = []
    for crop in crops:
        y = x
        for axis in across:
            weights = linear_weights(crop.centre[:, axis], crop.base[:, axis], size[axis], x.shape[2 + axis])
            moved = x.movedim(2 + axis, -1).flatten(0, 1)
            y = apply_last(moved, _for_channels(weights, channels)).view(len(x), -1, x.shape[2 + a], x.shape[2 + b])
        grid = _sampling_grid(crop, (a, b), size, tuple(x.shape[2:]))
        y = F.grid_sample(y, grid, mode="bilinear", padding_mode="border", align_corners=False)
        for axis in across:
            y = y.view(len(x), channels, size[axis], size[a], size[b]).movedim(2, 2 + axis)
        views.append(y)
    return torch.cat(views)


def _any_plane(x: Tensor, crop: Crop, size: tuple[int, ...]) -> Tensor:
    """Any affine map: a 2-D or 3-D resample; rank 1 goes through 2-D with a second axis of one cell."""
    grid = _sampling_grid(crop, tuple(range(len(size))), size, tuple(x.shape[2:]))
    if len(size) == 1:
        grid = torch.cat([grid, torch.zeros_like(grid)], -1)[:, None]
        y = F.grid_sample(x[:, :, None], grid, mode="bilinear", padding_mode="border", align_corners=False)
        return y[:, :, 0]
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _sampling_grid(crop: Crop, axes: tuple[int, ...], size: tuple[int, ...], window: tuple[int, ...]) -> Tensor:
    """`[B, *size of axes, len(axes)]` sampling positions for `grid_sample`, which names the last axis first.

    Built as sums of one small term an axis: a fifth of the time of `affine_grid`.
    """
    matrix = torch.diag_embed(crop.base)
    if crop.rotation is not None:
        matrix = crop.rotation * crop.base[:, None, :]
    rows, rank = len(crop.base), len(axes)
    grid = torch.empty(rows, *(size[a] for a in axes), rank, device=crop.base.device)
    for i, target in enumerate(axes):
        terms = []
        for j, source in enumerate(axes):
            n = size[source]
            place = (torch.arange(n, device=grid.device, dtype=torch.float32) + 0.5) / n - 0.5
            term = matrix[:, target, source, None] * place
            if j == 0:
                term = term + crop.centre[:, target, None]
            terms.append((term * (2 / window[target])).view(rows, *(n if k == j else 1 for k in range(rank))))
        position = terms[0] - 1
        for term in terms[1:-1]:
            position = position + term
        out = grid[..., rank - 1 - i]
        if rank == 1:
            out.copy_(position)
        else:
            torch.add(position, terms[-1], out=out)
    return grid


# ----------------------------------------------------------------------------------------------------------- stacking
def _stacked(crops: Sequence[Crop]) -> tuple[Tensor, Tensor]:
    """Centres and extents `[V * B, S]` of several views."""
    return torch.cat([c.centre for c in crops]), torch.cat([c.base for c in crops])


def _joined_swaps(crops: Sequence[Crop]) -> list[tuple[int, int, Tensor]]:
    return [
        (a, b, torch.cat([crop.swaps[position][2] for crop in crops]))
        for position, (a, b, _) in enumerate(crops[0].swaps)
    ]


def _for_channels(weights: Tensor, channels: int) -> Tensor:
    """`[R, out, in]` repeated for each channel: `[R * C, out, in]`."""
    if channels == 1:
        return weights
    return weights[:, None].expand(-1, channels, -1, -1).reshape(-1, *weights.shape[1:])
