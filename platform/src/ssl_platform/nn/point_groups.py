"""Point sets cut into overlapping groups: farthest-point centres and their nearest neighbours."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Groups(NamedTuple):
    """Groups of a batch of point sets.

    Attributes:
        centre: `[B, G, S]` coordinates.
        member: `[B, G, k]` int64 points of each group, nearest first.
        valid: `[B, G]` bool: the centre is a real point not used before; None when the set has no invalid points.
        member_valid: `[B, G, k]` bool, or None likewise.
    """

    centre: Tensor
    member: Tensor
    valid: Tensor | None
    member_valid: Tensor | None


@torch.no_grad()
def farthest_points(xyz: Tensor, count: int, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Farthest-point sampling of a whole batch (Eldar et al., 1997; Qi et al., 2017).

    It starts at the point farthest from the centroid, so the result does not depend on the order of the points.

    Args:
        xyz: `[B, N, S]`.
        count: G, at most N.
        valid: `[B, N]` bool; invalid points are chosen only when nothing else is left.

    Returns:
        `[B, G]` int64 indices, and `[B, G]` squared distance of each to the ones before it (0 or less: a repeat).
    """
    weight = torch.ones_like(xyz[..., :1]) if valid is None else valid[..., None].to(xyz.dtype)
    centroid = (xyz * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp_min(1)
    far = (xyz - centroid).square().sum(-1)
    nearest = torch.full_like(far, torch.inf)
    if valid is not None:
        far, nearest = far.masked_fill(~valid, -1.0), nearest.masked_fill(~valid, -1.0)
    chosen, gaps = [], []
    last = far.argmax(dim=1, keepdim=True)
    gap = torch.where(nearest.gather(1, last) > 0, torch.ones_like(far[:, :1]), nearest.gather(1, last))
    for _ in range(count):
        chosen.append(last)
        gaps.append(gap)
        centre = xyz.gather(1, last[..., None].expand(-1, -1, xyz.shape[-1]))
        nearest = torch.minimum(nearest, (xyz - centre).square().sum(-1))
        gap, last = nearest.max(dim=1, keepdim=True)
    return torch.cat(chosen, dim=1), torch.cat(gaps, dim=1)


@torch.no_grad()
def group_points(xyz: Tensor, groups: int, size: int, valid: Tensor | None = None) -> Groups:
    """Centres by farthest-point sampling and the nearest points of each.

    Args:
        xyz: `[B, N, S]`.
        groups: G.
        size: k, points of a group.
        valid: `[B, N]` bool or None.
    """
    centre_index, gap = farthest_points(xyz, groups, valid)
    centre = xyz.gather(1, centre_index[..., None].expand(-1, -1, xyz.shape[-1]))
    apart = (centre[:, :, None] - xyz[:, None]).square().sum(-1)  # [B, G, N]
    if valid is None:
        return Groups(centre, apart.topk(size, dim=-1, largest=False).indices, None, None)
    apart = apart.masked_fill(~valid[:, None], torch.inf)
    index = apart.topk(size, dim=-1, largest=False).indices
    member = valid[:, None].expand(-1, groups, -1).gather(2, index)
    real = gap > 0
    return Groups(centre, index, real, member & real[..., None])
