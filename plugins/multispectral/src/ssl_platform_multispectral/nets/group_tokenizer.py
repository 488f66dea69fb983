"""One token a place and group of bands that see alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssl_platform.errors import ConfigError
from ssl_platform.losses.masked import patch_mse
from ssl_platform.nn.constant import row
from ssl_platform.nn.patches import (
    check_patch,
    crop,
    extent_of,
    grid_of,
    pad_to_patches,
    patch_coords,
    patchify,
    unpatchify,
)
from ssl_platform.nn.tokenizer import Tokenizer
from ssl_platform.nn.validity import token_valid, value_valid
from ssl_platform.types import Tokens, View


class GroupTokenizer(Tokenizer):
    """Patches of each spectral group with an embedding of their own (SatMAE: Cong et al., 2022, section 3.3).

    Tokens are ordered group by group; `Tokens.kind` is the group, whose learned embedding the backbone adds to the
    position. A group of which a scene has no band gives invalid tokens. Contents of small groups are padded to the
    largest one; what is padded is never a target.

    Args:
        channels: number of channels C.
        groups: positions of the channels of each group; together each channel once.
        patch: cells of a patch along H and W.
        embed_dim: D.
        min_valid: as in `PatchTokenizer`.
        norm_pix: as in `PatchTokenizer`.

    Raises:
        ConfigError: a channel is in no group or in several.
    """

    patch: tuple[int, ...]

    def __init__(
        self,
        channels: int,
        groups: Sequence[Sequence[int]],
        patch: Sequence[int],
        embed_dim: int,
        *,
        min_valid: float = 0.0,
        norm_pix: bool = True,
    ) -> None:
        super().__init__()
        if sorted(place for group in groups for place in group) != list(range(channels)):
            raise ConfigError(f"the band groups {[list(g) for g in groups]} do not hold each of {channels} bands once")
        self.rank, self.channels, self.patch = 2, channels, check_patch(patch, 2)
        self.groups = [list(group) for group in groups]
        self.embed_dim, self.min_valid, self.norm_pix = embed_dim, min_valid, norm_pix
        self.cells = math.prod(self.patch)
        self.widest = max(len(group) for group in groups)
        self.target_dim, self.kinds = self.cells * self.widest, len(self.groups)
        self.embed = nn.ModuleList([nn.Linear(self.cells * len(group), embed_dim) for group in groups])
        self.group = nn.Parameter(torch.empty(len(groups), embed_dim))
        nn.init.trunc_normal_(self.group, std=0.02)

    def forward(self, view: View) -> Tokens:
        """Tokens of a normalised view, embedded.

        Args:
            view: x `[B, C, H, W]`.
        """
        size = self._check(view)
        x = pad_to_patches(view.x, self.patch)
        values = [
            embed(patchify(_some(x, group), self.patch)) for embed, group in zip(self.embed, self.groups, strict=True)
        ]
        coords = patch_coords(size, self.patch, view.x)
        count = len(self.groups)
        kind = row(range(count), torch.long, view.x.device)[:, None].expand(-1, coords.shape[1]).flatten()
        return Tokens(
            values=torch.cat(values, 1),
            coords=coords[:1].repeat(1, count, 1).expand(len(x), -1, -1),
            extent=extent_of(view),
            valid=self._token_valid(view),
            kind=kind.expand(len(x), -1),
        )

    def embed_kind(self, kind: Tensor) -> Tensor:
        """`[..., D]` learned embedding of `[...]` groups."""
        return self.group[kind]

    def targets(self, view: View) -> Tensor:
        """`[B, groups * N, T]` content of every group's patches, zero where a group is narrower than the widest."""
        self._check(view)
        return self._cut(view.x)

    def target_valid(self, view: View) -> Tensor | None:
        """`[B, groups * N, T]` bool; None where all groups are equally wide and everything is valid."""
        self._check(view)
        real = value_valid(view, self.patch)
        if real is None:
            if all(len(group) == self.widest for group in self.groups):
                return None
            real = torch.ones_like(view.x, dtype=torch.bool)
        return self._cut(real)

    def loss(self, prediction: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        """`[..., K]` mean squared error of each token over its real values."""
        return patch_mse(prediction, target, valid, normalise=self.norm_pix)

    def reconstruct(self, values: Tensor, view: View) -> Tensor:
        """`[B, groups * N, T]` back to `[B, C, H, W]`."""
        size = self._check(view)
        grid = grid_of(size, self.patch)
        out = view.x.new_zeros(view.x.shape, dtype=values.dtype)
        for group, part in zip(self.groups, values.chunk(len(self.groups), 1), strict=True):
            image = crop(unpatchify(part, grid, self.patch, self.widest), size)
            for k, place in enumerate(group):
                out[:, place] = image[:, k]
        return out

    def _cut(self, x: Tensor) -> Tensor:
        padded = pad_to_patches(x, self.patch)
        parts = []
        for group in self.groups:
            content = _some(padded, group)
            missing = self.widest - len(group)
            if missing:
                content = torch.cat([content, torch.zeros_like(content[:, :1]).expand(-1, missing, -1, -1)], 1)
            parts.append(patchify(content, self.patch))
        return torch.cat(parts, 1)

    def _token_valid(self, view: View) -> Tensor | None:
        """`[B, groups * N]` bool from cells and bands, None when all are valid."""
        cells = token_valid(view, self.patch, self.min_valid)
        if view.channel_valid is None:
            return None if cells is None else cells.repeat(1, len(self.groups))
        places = math.prod(grid_of(view.x.shape[2:], self.patch))
        present = [torch.stack([view.channel_valid[:, p] for p in group], 1).any(1) for group in self.groups]
        groups = torch.stack(present, 1).repeat_interleave(places, dim=1)
        return groups if cells is None else groups & cells.repeat(1, len(self.groups))

    def _check(self, view: View) -> tuple[int, ...]:
        if view.x.ndim != 4 or view.x.shape[1] != self.channels:
            raise ConfigError(f"tokenizer for {self.channels} bands got a view of shape {tuple(view.x.shape)}")
        return tuple(view.x.shape[2:])


def _some(x: Tensor, places: Sequence[int]) -> Tensor:
    """The given channels; stacked one by one, for indexing with a list would make the host wait."""
    return torch.stack([x[:, place] for place in places], 1)
