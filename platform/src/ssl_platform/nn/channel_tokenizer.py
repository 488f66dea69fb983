"""One token a channel and place, for input whose channels differ from item to item."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ssl_platform.errors import ConfigError, did_you_mean
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
from ssl_platform.nn.positions import sincos
from ssl_platform.nn.tokenizer import Tokenizer
from ssl_platform.nn.validity import token_valid, value_valid
from ssl_platform.types import Tokens, View


class ChannelTokenizer(Tokenizer):
    """A single-channel patch embedding shared by all channels (ChAda-ViT: Bourriez et al., 2024).

    Tokens are ordered channel by channel, row-major inside each; `Tokens.kind` is the channel's number in `names` and
    `embed_kind` its embedding, which the backbone adds together with the position: a learned vector for each name, or
    a small net of the wavelength, which also covers channels never seen. Padded channels give invalid tokens.

    Args:
        rank: S, 1 to 3.
        names: all channel names there may be; a view names those it has.
        patch: cells of a patch along each axis.
        embed_dim: D.
        wavelengths: centre wavelength of each name in nm, for `conditioning="wavelength"`.
        conditioning: `name` or `wavelength`.
        min_valid: as in `PatchTokenizer`.
        norm_pix: as in `PatchTokenizer`.

    Raises:
        ConfigError: the patch does not fit the rank, or a wavelength is missing.
    """

    patch: tuple[int, ...]
    wavelength: Tensor

    def __init__(
        self,
        rank: int,
        names: Sequence[str],
        patch: Sequence[int],
        embed_dim: int,
        *,
        wavelengths: Sequence[float | None] = (),
        conditioning: Literal["name", "wavelength"] = "name",
        min_valid: float = 0.0,
        norm_pix: bool = True,
    ) -> None:
        super().__init__()
        self.rank, self.names, self.patch = rank, tuple(names), check_patch(patch, rank)
        self.embed_dim, self.min_valid, self.norm_pix = embed_dim, min_valid, norm_pix
        self.target_dim = math.prod(self.patch)
        self.kinds = len(self.names)
        self.conditioning = conditioning
        self.embed = nn.Linear(self.target_dim, embed_dim)
        if conditioning == "wavelength":
            known = [w for w in wavelengths if w is not None]
            if len(known) != len(self.names):
                raise ConfigError(
                    f"{len(known)} of {len(self.names)} channels have a wavelength: backbone.conditioning=name"
                )
            self.register_buffer("wavelength", torch.tensor(known))
            self.net = nn.Sequential(nn.Linear(embed_dim, embed_dim), nn.GELU(), nn.Linear(embed_dim, embed_dim))
        else:
            self.channel = nn.Parameter(torch.empty(len(self.names), embed_dim))
            nn.init.trunc_normal_(self.channel, std=0.02)

    def forward(self, view: View) -> Tokens:
        """Tokens of a normalised view with channel names; their values are the raw patches.

        Args:
            view: x `[B, C, *size]`, `channels` of length C (or C = all names, in order).
        """
        size = self._check(view)
        b, c = view.x.shape[:2]
        coords = patch_coords(size, self.patch, view.x)
        places = coords.shape[1]
        kind = row(self.ids(view), torch.long, view.x.device)[:, None].expand(-1, places).flatten()
        return Tokens(
            values=self._cut(view.x),
            coords=coords[:1].repeat(1, c, 1).expand(b, -1, -1),
            extent=extent_of(view),
            valid=self._token_valid(view),
            kind=kind.expand(b, -1),
        )

    def embed_values(self, values: Tensor) -> Tensor:
        """`[..., D]` of `[..., T]` raw patches, the same for all channels."""
        embedded: Tensor = self.embed(values)
        return embedded

    def embed_kind(self, kind: Tensor) -> Tensor:
        """`[..., D]` channel embedding of `[...]` channel numbers."""
        if self.conditioning == "name":
            return self.channel[kind]
        # A period of 10 micrometres separates visible bands by some steps and still orders the thermal ones.
        code = sincos(self.wavelength[:, None] / 10.0, self.embed_dim)
        return self.net(code.to(next(self.net.parameters()).dtype))[kind]

    def ids(self, view: View) -> list[int]:
        """The number of each of the view's channels.

        Raises:
            ConfigError: a channel this tokenizer was not built for.
        """
        if not view.channels:
            return list(range(view.x.shape[1]))
        unknown = [name for name in view.channels if name not in self.names]
        if unknown:
            close = did_you_mean(unknown[0], self.names)
            raise ConfigError(f"channel {unknown[0]!r} is not one of this encoder's {list(self.names)}{close}")
        return [self.names.index(name) for name in view.channels]

    def targets(self, view: View) -> Tensor:
        """`[B, N, T]` content of every channel's patches."""
        self._check(view)
        return self._cut(view.x)

    def target_valid(self, view: View) -> Tensor | None:
        """`[B, N, T]` bool: cells valid and of a valid channel; None when all are."""
        self._check(view)
        real = value_valid(view, self.patch)
        return None if real is None else self._cut(real)

    def loss(self, prediction: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        """`[..., K]` mean squared error of each token over its valid cells."""
        return patch_mse(prediction, target, valid, normalise=self.norm_pix)

    def reconstruct(self, values: Tensor, view: View) -> Tensor:
        """`[B, C * N, T]` back to `[B, C, *size]`."""
        size = self._check(view)
        b, c = view.x.shape[:2]
        flat = values.reshape(b * c, -1, self.target_dim)
        return crop(unpatchify(flat, grid_of(size, self.patch), self.patch, 1), size).view(b, c, *size)

    def _cut(self, x: Tensor) -> Tensor:
        """`[B, C, *size]` to `[B, C * N, T]`."""
        b, c = x.shape[:2]
        single = pad_to_patches(x.reshape(b * c, 1, *x.shape[2:]), self.patch)
        return patchify(single, self.patch).reshape(b, -1, self.target_dim)

    def _token_valid(self, view: View) -> Tensor | None:
        """`[B, C * N]` bool from cells and channels, None when all are valid."""
        c = view.x.shape[1]
        cells = token_valid(view, self.patch, self.min_valid)
        if view.channel_valid is None:
            return None if cells is None else cells.repeat(1, c)
        places = math.prod(grid_of(view.x.shape[2:], self.patch))
        channels = view.channel_valid.repeat_interleave(places, dim=1)
        return channels if cells is None else channels & cells.repeat(1, c)

    def _check(self, view: View) -> tuple[int, ...]:
        size = tuple(view.x.shape[2:])
        if len(size) != self.rank or view.x.shape[1] > self.kinds:
            raise ConfigError(
                f"tokenizer for up to {self.kinds} channels of rank {self.rank} got shape {tuple(view.x.shape)}"
            )
        return size
