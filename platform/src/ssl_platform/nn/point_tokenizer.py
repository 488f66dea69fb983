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

    A group's points are taken relative to its centre, in units of the mean group's size, so that tokens change little
    with the number of points and with the unit. The PointNet normalises each point by itself (layer norm), where the
    published one shares batch statistics: masked groups then cannot leak into visible ones. Tokens do not depend on the
    order of the points. `Tokens.coords` are the centres in the smallest cube around the set's valid points.

    A view may lack features (`View.channel_valid`): they are zero, and a learnt vector says which are absent.

    Args:
        rank: S, the first S channels are coordinates.
        channels: C, coordinates and features.
        groups: G, tokens.
        group_size: k, points of a group.
        embed_dim: D.
        hidden: width of the PointNet's first layer; None for a third of D, as published.
    """

    def __init__(
        self, rank: int, channels: int, groups: int, group_size: int, embed_dim: int, *, hidden: int | None = None
    ) -> None:
        super().__init__()
        if channels < rank:
            raise ConfigError(f"points of rank {rank} need at least {rank} channels, got {channels}")
        self.rank, self.channels, self.embed_dim = rank, channels, embed_dim
        self.groups, self.group_size = groups, group_size
        self.target_dim = group_size * rank
        hidden = hidden or max(16, embed_dim // 3 // 16 * 16)
        self.point = nn.Sequential(
            nn.Linear(channels, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, 2 * hidden)
        )
        # The published layer on [whole, each] side by side, its two halves apart: the first is one a group.
        self.whole = nn.Linear(2 * hidden, 4 * hidden)
        self.each = nn.Linear(2 * hidden, 4 * hidden, bias=False)
        self.joint = nn.Sequential(nn.LayerNorm(4 * hidden), nn.GELU(), nn.Linear(4 * hidden, embed_dim))
        self.absent = nn.Linear(channels - rank, embed_dim, bias=False) if channels > rank else None

    def forward(self, view: View) -> Tokens:
        """Tokens of a normalised view; their values are the members of each group, `[B, G, k * C]`, nearest first.

        Which features are absent follows, one number a feature: `[B, G, k * C + C - S]`.

        Args:
            view: x `[B, N, C]`.

        Raises:
            ConfigError: other channels, or fewer points than a group or than groups.
        """
        groups = self._group(view)
        x = _members(view.x, groups.member)  # [B, G, k, C]
        content, _ = _content(x[..., : self.rank], groups)
        values = torch.cat([content, x[..., self.rank :]], dim=-1).flatten(2)
        if self.absent is not None:
            values = torch.cat([values, self._absent(view, values)], dim=-1)
        low, side = cube_of(view, self.rank)
        coords = (groups.centre - low[:, None]) / side[:, None, None].clamp_min(1e-12)
        spacing = torch.ones_like(low) if view.spacing is None else view.spacing
        return Tokens(values, coords, side[:, None] * spacing, None, groups.valid)

    def embed_values(self, values: Tensor) -> Tensor:
        """`[..., D]` embedding of the members of groups, whatever their order."""
        members = values[..., : self.group_size * self.channels].unflatten(-1, (self.group_size, self.channels))
        each = self.point(members)
        whole = self.whole(each.max(dim=-2, keepdim=True).values)
        embedded: Tensor = self.joint(whole + self.each(each)).max(dim=-2).values
        if self.absent is None:
            return embedded
        return embedded + self.absent(values[..., self.group_size * self.channels :])

    def _absent(self, view: View, values: Tensor) -> Tensor:
        """`[B, G, C - S]`, 1 for the features a view lacks."""
        shape = (*values.shape[:2], self.channels - self.rank)
        if view.channel_valid is None:
            return values.new_zeros(shape)
        return (~view.channel_valid[:, None, self.rank :]).to(values.dtype).expand(shape)

    def targets(self, view: View) -> Tensor:
        """`[B, G, k * S]` coordinates of each group's points relative to its centre, nearest first.

        The unit is the root mean square distance of all members of a sample from their centres: predicting every point
        at its centre costs 1.
        """
        groups = self._group(view)
        return _content(_members(view.x[..., : self.rank], groups.member), groups)[0].flatten(2)

    def target_valid(self, view: View) -> Tensor | None:
        """None: every member of a valid group is a real point."""
        return None

    def loss(self, prediction: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        """`[..., K]` squared Chamfer distance of each group."""
        shape = (*prediction.shape[:-1], self.group_size, self.rank)
        real = None if valid is None else valid.reshape(shape)[..., 0]
        return chamfer(prediction.reshape(shape), target.reshape(shape), real)

    def reconstruct(self, values: Tensor, view: View) -> Tensor:
        """`[B, G, k * S]` group contents to one set of `[B, G * k, S]` points (groups overlap)."""
        groups = self._group(view)
        unit = _content(_members(view.x[..., : self.rank], groups.member), groups)[1]
        shape = (*groups.centre.shape[:2], self.group_size, self.rank)
        return (values.reshape(shape) * unit + groups.centre[:, :, None]).flatten(1, 2)

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


def _content(xyz: Tensor, groups: Groups) -> tuple[Tensor, Tensor]:
    """`[B, G, k, S]` members relative to their centres, in units of `[B, 1, 1, 1]`: their root mean square distance."""
    offset = xyz - groups.centre[:, :, None]
    square = offset.square().sum(-1).mean(-1)  # [B, G]
    weight = torch.ones_like(square) if groups.valid is None else groups.valid.to(square.dtype)
    unit = ((square * weight).sum(1) / weight.sum(1).clamp_min(1)).sqrt()[:, None, None, None]
    unit = torch.where(unit > 0, unit, torch.ones_like(unit))  # a set of one place has no size
    return offset / unit, unit


def cube_of(view: View, rank: int) -> tuple[Tensor, Tensor]:
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
