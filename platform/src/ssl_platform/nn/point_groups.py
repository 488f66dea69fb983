"""Point sets cut into overlapping groups: farthest-point centres and their nearest neighbours."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Groups(NamedTuple):
    """Groups of a batch of point sets.

    Attributes:
        centre: `[B, G, S]` coordinates.
        member: `[B, G, k]` int64 points of each group, nearest first. A set with fewer than k valid points repeats them
            in that order, so that every member is a real point wherever the set has one.
        valid: `[B, G]` bool: the centre is a real point not used before; None when the set has no invalid points.
    """

    centre: Tensor
    member: Tensor
    valid: Tensor | None


@torch.no_grad()
def farthest_points(xyz: Tensor, count: int, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Farthest-point sampling of a whole batch (Eldar et al., 1997; Qi et al., 2017).

    It starts at the point farthest from the centroid, so the result does not depend on the order of the points.
    Coordinates are kept axis by axis and worked on in place: four times as fast as rows of points on a CPU.

    Args:
        xyz: `[B, N, S]`.
        count: G, at most N.
        valid: `[B, N]` bool; invalid points are chosen only when nothing else is left.

    Returns:
        `[B, G]` int64 indices, and `[B, G]` squared distance of each to the ones before it (0 or less: a repeat).
    """
    axes = [axis.contiguous() for axis in xyz.unbind(-1)]
    weight = torch.ones_like(axes[0]) if valid is None else valid.to(xyz.dtype)
    total = weight.sum(1, keepdim=True).clamp_min(1)
    far, work = torch.empty_like(axes[0]), torch.empty_like(axes[0])
    _squared_distance(axes, [(axis * weight).sum(1, keepdim=True) / total for axis in axes], far, work)
    nearest = torch.full_like(far, torch.inf)
    if valid is not None:
        far, nearest = far.masked_fill(~valid, -1.0), nearest.masked_fill(~valid, -1.0)
    chosen, gaps = [], []
    last = far.argmax(dim=1, keepdim=True)
    gap = torch.where(nearest.gather(1, last) > 0, torch.ones_like(far[:, :1]), nearest.gather(1, last))
    for _ in range(count):
        chosen.append(last)
        gaps.append(gap)
        _squared_distance(axes, [axis.gather(1, last) for axis in axes], far, work)
        torch.minimum(nearest, far, out=nearest)
        gap, last = nearest.max(dim=1, keepdim=True)
    return torch.cat(chosen, dim=1), torch.cat(gaps, dim=1)


def _squared_distance(axes: list[Tensor], centre: list[Tensor], out: Tensor, work: Tensor) -> None:
    """Write to `out [B, N]` the squared distance of points, given by axis, from `centre`, `[B, 1]` by axis."""
    torch.sub(axes[0], centre[0], out=out).square_()
    for axis, middle in zip(axes[1:], centre[1:], strict=True):
        torch.sub(axis, middle, out=work)
        out.addcmul_(work, work)


@torch.no_grad()
def nearest_points(query: Tensor, xyz: Tensor, count: int, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The nearest points of a set to each of some places.

    Args:
        query: `[B, Q, S]`.
        xyz: `[B, N, S]`.
        count: k, at most N.
        valid: `[B, N]` bool; invalid points come last, at infinite distance.

    Returns:
        `[B, Q, k]` int64 points and their distances, nearest first.
    """
    # Differences, not the expansion of squares: that loses the digits of points far from the origin.
    apart = torch.cdist(query, xyz, compute_mode="donot_use_mm_for_euclid_dist")
    if valid is not None:
        apart.masked_fill_(~valid[:, None], torch.inf)
    found = apart.topk(count, dim=-1, largest=False)
    return found.indices, found.values


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
    member, _ = nearest_points(centre, xyz, size, valid)
    if valid is None:
        return Groups(centre, member, None)
    real = valid.sum(1, keepdim=True).clamp(1, size)
    turn = torch.arange(size, device=xyz.device) % real  # [B, k]: the valid ones stand first
    return Groups(centre, member.gather(2, turn[:, None].expand(-1, groups, -1)), gap > 0)
