"""Patches cut with random gaps, so that neighbouring tokens share fewer cells' statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_platform.nn.constant import row
from ssl_platform.nn.patches import unpatchify
from ssl_platform.types import View


def gapped(view: View, patch: Sequence[int], gap: Sequence[int]) -> View:
    """Keep of every cell of `patch + gap` one patch at a random place in it (LatentMIM: Wei et al., 2024, section 3.3).

    Cells that fill no whole `patch + gap` are left out on both sides alike. The patches are put side by side, so that a
    tokenizer of that patch makes one token of each; `spacing` grows so that tokens keep their physical places.

    Args:
        view: of a grid, at least one `patch + gap` long along each axis; its draws decide the places.
        patch: cells of a token along each axis.
        gap: cells between tokens along each axis; 0 for none.

    Returns:
        A view of `grid * patch` cells without a geometry.
    """
    size = tuple(view.x.shape[2:])
    pitch = [p + g for p, g in zip(patch, gap, strict=True)]
    grid = [n // p for n, p in zip(size, pitch, strict=True)]
    index = _cells(view, size, patch, gap, grid)  # [B, N, P]
    valid = None if view.valid is None else _taken(view.valid[:, None], index, grid, patch)[:, 0]
    spacing = view.spacing
    if spacing is not None:
        spacing = spacing * row([a / b for a, b in zip(pitch, patch, strict=True)], spacing.dtype, spacing.device)
    return view.replace(x=_taken(view.x, index, grid, patch), valid=valid, spacing=spacing, geometry=None)


def _cells(view: View, size: Sequence[int], patch: Sequence[int], gap: Sequence[int], grid: Sequence[int]) -> Tensor:
    """`[B, N, P]` number of the source cell of every cell of every token."""
    rank, device = len(size), view.x.device
    total = torch.zeros((), dtype=torch.long, device=device)
    for axis, (n, p, g, count) in enumerate(zip(size, patch, gap, grid, strict=True)):
        first = (n - count * (p + g)) // 2 + torch.arange(count, device=device) * (p + g)
        token = first.view([count if a == axis else 1 for a in range(rank)]).expand(*grid).reshape(1, -1, 1)
        within = torch.arange(p, device=device).view([p if a == axis else 1 for a in range(rank)])
        shift = view.random.integer(f"gap{axis}", g + 1, math.prod(grid))[..., None]
        total = total * n + token + shift + within.expand(*patch).reshape(1, 1, -1)
    return total


def _taken(x: Tensor, index: Tensor, grid: Sequence[int], patch: Sequence[int]) -> Tensor:
    """The cells `[B, N, P]` of `[B, C, *size]`, as `[B, C, *(grid * patch)]`."""
    b, c = x.shape[:2]
    cells = x.flatten(2).gather(2, index.flatten(1)[:, None].expand(-1, c, -1)).view(b, c, *index.shape[1:])
    return unpatchify(cells.permute(0, 2, 3, 1).flatten(2), grid, patch, c)
