"""Where attention goes: how far, how much it depends on who asks, and whether it always looks at one offset.

Shapes: B batch, H heads, P prefix tokens, N tokens with a place, S spatial rank.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.measures.representation import wide

_POOL = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)


@torch.no_grad()
def place_attention(attention: Tensor, prefix: int = 0, valid: Tensor | None = None) -> Tensor:
    """Attention among tokens with a place: prefix tokens taken out, rows brought back to a sum of 1.

    Args:
        attention: `[B, H, P + N, P + N]`, rows sum to 1, prefix tokens first.
        prefix: P.
        valid: `[B, N]` bool, or None.

    Returns:
        `[B, H, N, N]`; rows of invalid tokens and rows without any mass on tokens with a place are nan.
    """
    among = wide(attention)[:, :, prefix:, prefix:]
    if valid is not None:
        among = among * valid[:, None, None, :]
    mass = among.sum(dim=-1, keepdim=True)
    known = mass > torch.finfo(among.dtype).tiny
    if valid is not None:
        known = known & valid[:, None, :, None]
    return torch.where(known, among / mass, torch.nan)


@torch.no_grad()
def attention_distance(attention: Tensor, coords: Tensor) -> Tensor:
    """Mean distance from query to key, weighted by attention (Dosovitskiy et al., 2021, appendix D.7).

    Args:
        attention: `[B, H, N, N]` of `place_attention`.
        coords: `[B, N, S]` places; distances are in their unit.

    Returns:
        `[B, H]`, mean over the known rows; nan where there is none.
    """
    away = _distances(coords)[:, None]
    return (attention * away).sum(dim=-1).nanmean(dim=-1)


@torch.no_grad()
def uniform_distance(coords: Tensor, valid: Tensor | None = None) -> Tensor:
    """`[B]` distance of attention that is equal everywhere: the mean over all pairs, a token with itself included.

    Args:
        coords: `[B, N, S]` places.
        valid: `[B, N]` bool, or None.
    """
    away = _distances(coords)
    if valid is None:
        return away.mean(dim=(1, 2))
    weight = wide(valid.to(away.dtype))
    count = weight.sum(dim=1)
    return torch.einsum("bi,bij,bj->b", weight, away, weight) / count.square()


@torch.no_grad()
def attention_nmi(attention: Tensor) -> Tensor:
    """Normalised mutual information of query and key (Park et al., 2023, "What Do Self-Supervised Vision Transformers
    Learn?", section 2): 0 when every query attends alike, 1 when each attends to a key of its own.

    Args:
        attention: `[B, H, N, N]` of `place_attention`.

    Returns:
        `[B, H]` in `[0, 1]`; 0 where all attention is on one key; nan without a known row.
    """
    known = ~attention.isnan().any(dim=-1)  # [B, H, N]
    rows = known.sum(dim=-1).to(attention.dtype)
    shares = attention.nan_to_num(0.0)
    key = shares.sum(dim=2) / rows[..., None]
    conditional = -torch.special.xlogy(shares, shares).sum(dim=(2, 3)) / rows  # H(key | query)
    of_key = -torch.special.xlogy(key, key).sum(dim=-1)
    scale = (rows.log() * of_key).sqrt()
    found = ((of_key - conditional).clamp_min(0) / scale).clamp(max=1)
    found = torch.where(scale > torch.finfo(scale.dtype).eps, found, 0.0)
    return torch.where(rows > 0, found, torch.nan)


@torch.no_grad()
def aligned_attention(attention: Tensor, grid: Sequence[int]) -> Tensor:
    """Mean attention by the offset from query to key (Walmer et al., 2023, "Teaching Matters", section 4.3).

    Args:
        attention: `[B, H, N, N]` of `place_attention`, tokens in row-major order of `grid`.
        grid: tokens along each axis.

    Returns:
        `[B, H, *(2 n - 1)]`, the query in the middle; sums to 1 (0 where no row is known).
    """
    wider = [2 * n - 1 for n in grid]
    place = torch.stack(torch.meshgrid(*[torch.arange(n) for n in grid], indexing="ij"), -1).flatten(0, -2)
    offset = place[None] - place[:, None] + torch.tensor([n - 1 for n in grid])  # [query, key, S]
    strides = [math.prod(wider[axis + 1 :]) for axis in range(len(wider))]
    index = (offset * torch.tensor(strides)).sum(-1).flatten().to(attention.device)
    b, h = attention.shape[:2]
    known = (~attention.isnan().any(dim=-1)).sum(dim=-1).clamp_min(1)
    rows = attention.nan_to_num(0.0).reshape(b * h, -1)
    found = rows.new_zeros(b * h, math.prod(wider)).index_add_(1, index, rows)
    return found.view(b, h, *wider) / known.view(b, h, *(1 for _ in wider))


@dataclass(frozen=True)
class Offsets:
    """Where heads look, from the token that asks.

    Attributes:
        length: `[H]` length of the mean offset, 1 being from one end of an axis to the other.
        peak: `[H, S]` int64, offset in tokens of the strongest cell.
        mass: `[H]` share of attention within one token of that cell.
        local: `[H]` bool, an offset-local head: over half of its attention within one token of one offset that is not
            zero.
    """

    length: Tensor
    peak: Tensor
    mass: Tensor
    local: Tensor


@torch.no_grad()
def offset_heads(aligned: Tensor) -> Offsets:
    """Tell offset-local heads (Walmer et al., 2023) from others; the limit of a half is this platform's.

    Args:
        aligned: `[H, *(2 n - 1)]` of `aligned_attention`, averaged over items.
    """
    sizes = aligned.shape[1:]
    heads, rank = len(aligned), len(sizes)
    steps = [torch.arange(n, device=aligned.device) - n // 2 for n in sizes]
    cells = torch.stack(torch.meshgrid(*steps, indexing="ij"), -1).flatten(0, -2)  # [M, S]
    unit = cells / torch.tensor([max(1, n // 2) for n in sizes], device=aligned.device)
    flat = aligned.flatten(1)
    peak = flat.argmax(dim=1)
    around = _POOL[rank - 1](aligned[:, None], 3, stride=1, padding=1)[:, 0] * 3**rank
    mass = around.flatten(1).gather(1, peak[:, None])[:, 0]
    away = (cells[peak] != 0).any(dim=1)
    length = (flat @ unit.to(flat.dtype)).norm(dim=1)
    return Offsets(length, cells[peak].view(heads, rank), mass, (mass > 0.5) & away)


def _distances(coords: Tensor) -> Tensor:
    """`[B, N, N]`."""
    coords = wide(coords)
    return torch.cdist(coords, coords, compute_mode="donot_use_mm_for_euclid_dist")
