"""One token a group of neighbouring points of a set."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_platform.errors import ConfigError
from ssl_platform.losses.points import chamfer
from ssl_platform.nn.point_groups import Groups, group_points
from ssl_platform.nn.tokenizer import Tokenizer
from ssl_platform.types import Tokens, View


class PointTokenizer(Tokenizer):
    """Farthest-point centres, their nearest neighbours, and a small PointNet (Point-MAE: Pang et al., 2022).

    A group's points are taken relative to its centre. The PointNet normalises each point by itself (layer norm), where
    the published one shares batch statistics: masked groups then cannot leak into visible ones. Tokens do not depend on
    the order of the points. `Tokens.coords` are the centres in the smallest cube around the set's valid points.

    Args:
        rank: S, the first S channels are coordinates.
        channels: C, coordinates and features.
        groups: G, tokens.
        group_size: k, points of a group.
        embed_dim: D.
        hidden: width of the PointNet's first half.
    """

    def __init__(
        self, rank: int, channels: int, groups: int, group_size: int, embed_dim: int, *, hidden: int = 64
    ) -> None:
        super().__init__()
        if channels < rank:
            raise ConfigError(f"points of rank {rank} need at least {rank} channels, got {channels}")
        self.rank, self.channels, self.embed_dim = rank, channels, embed_dim
        self.groups, self.group_size = groups, group_size
        self.target_dim = group_size * rank
        self.point = nn.Sequential(
            nn.Linear(channels, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, 2 * hidden)
        )
        self.joint = nn.Sequential(
            nn.Linear(4 * hidden, 4 * hidden), nn.LayerNorm(4 * hidden), nn.GELU(), nn.Linear(4 * hidden, embed_dim)
        )

    def forward(self, view: View) -> Tokens:
        """Tokens of a normalised view.

        Args:
            view: x `[B, N, C]`.

        Raises:
            ConfigError: other channels, or fewer points than a group or than groups.
        """
        groups = self._group(view)
        x = _members(view.x, groups.member)  # [B, G, k, C]
        x = torch.cat([x[..., : self.rank] - groups.centre[:, :, None], x[..., self.rank :]], dim=-1)
        each = self.point(x)
        whole = _largest(each, groups.member_valid)[:, :, None].expand_as(each)
        values = _largest(self.joint(torch.cat([whole, each], dim=-1)), groups.member_valid)
        low, side = _cube(view, self.rank)
        coords = (groups.centre - low[:, None]) / side[:, None, None].clamp_min(1e-12)
        spacing = torch.ones_like(low) if view.spacing is None else view.spacing
        return Tokens(values, coords, side[:, None] * spacing, None, groups.valid)

    def targets(self, view: View) -> Tensor:
        """`[B, G, k * S]` coordinates of each group's points relative to its centre, nearest first."""
        groups = self._group(view)
        return (_members(view.x[..., : self.rank], groups.member) - groups.centre[:, :, None]).flatten(2)

    def target_valid(self, view: View) -> Tensor | None:
        """`[B, G, k * S]` bool, or None when all points are valid."""
        member = self._group(view).member_valid
        return None if member is None else member.repeat_interleave(self.rank, dim=-1)

    def loss(self, prediction: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        """`[..., K]` squared Chamfer distance of each group."""
        shape = (*prediction.shape[:-1], self.group_size, self.rank)
        real = None if valid is None else valid.reshape(shape)[..., 0]
        return chamfer(prediction.reshape(shape), target.reshape(shape), real)

    def reconstruct(self, values: Tensor, view: View) -> Tensor:
        """`[B, G, k * S]` group contents to one set of `[B, G * k, S]` points (groups overlap)."""
        centre = self._group(view).centre
        points = values.reshape(*centre.shape[:2], self.group_size, self.rank) + centre[:, :, None]
        return points.flatten(1, 2)

    def _group(self, view: View) -> Groups:
        n, c = view.x.shape[1:]
        if c != self.channels:
            raise ConfigError(f"tokenizer for points of {self.channels} channels got shape {tuple(view.x.shape)}")
        if n < max(self.groups, self.group_size):
            raise ConfigError(
                f"{n} points cannot make {self.groups} groups of {self.group_size}: "
                f"lower backbone.groups or backbone.patch, or read more points"
            )
        return group_points(view.x[..., : self.rank], self.groups, self.group_size, view.valid)


def _members(x: Tensor, index: Tensor) -> Tensor:
    """`[B, G, k, C]` rows of `[B, N, C]`."""
    flat = index.flatten(1)[..., None].expand(-1, -1, x.shape[-1])
    return x.gather(1, flat).view(*index.shape, x.shape[-1])


def _largest(x: Tensor, valid: Tensor | None) -> Tensor:
    """Maximum over the points of `[B, G, k, D]`; 0 for groups without valid points."""
    if valid is None:
        return x.amax(dim=2)
    low = torch.full((), torch.finfo(x.dtype).min, dtype=x.dtype, device=x.device)
    most = torch.where(valid[..., None], x, low).amax(dim=2)
    return torch.where(valid.any(-1)[..., None], most, torch.zeros((), dtype=x.dtype, device=x.device))


def _cube(view: View, rank: int) -> tuple[Tensor, Tensor]:
    """Lowest corner `[B, S]` and side `[B]` of the smallest cube centred on the bounding box of the valid points."""
    xyz = view.x[..., :rank].detach()
    low, high = xyz, xyz
    if view.valid is not None:
        real, far = view.valid[..., None], torch.finfo(xyz.dtype).max
        low, high = xyz.masked_fill(~real, far), xyz.masked_fill(~real, -far)
    least, most = low.amin(1), high.amax(1)
    if view.valid is not None:
        any_real = view.valid.any(1, keepdim=True)
        least, most = torch.where(any_real, least, 0.0), torch.where(any_real, most, 0.0)
    side = (most - least).amax(-1)
    return (least + most) / 2 - side[:, None] / 2, side
