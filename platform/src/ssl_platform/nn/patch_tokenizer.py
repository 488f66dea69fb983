"""One token a patch of a grid, any rank from 1 to 3 and any number of channels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssl_platform.errors import ConfigError
from ssl_platform.losses.masked import normalised_patches, patch_mse
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


class PatchTokenizer(Tokenizer):
    """Cuts a view into patches and embeds each with one matrix product.

    A view whose sizes are no multiple of the patch is padded at the end of each axis with invalid cells. A token is
    valid when more than `min_valid` of its cells are; with the default 0, one valid cell is enough.

    Args:
        rank: S, 1 to 3.
        channels: C.
        patch: cells of a patch along each axis.
        embed_dim: D; None leaves raw patches (D = T).
        min_valid: fraction of a token's cells in `[0, 1)`.
        norm_pix: whether the loss normalises each target patch (He et al., 2022).

    Raises:
        ConfigError: the patch does not fit the rank.
    """

    patch: tuple[int, ...]

    def __init__(
        self,
        rank: int,
        channels: int,
        patch: Sequence[int],
        embed_dim: int | None,
        *,
        min_valid: float = 0.0,
        norm_pix: bool = True,
    ) -> None:
        super().__init__()
        self.rank, self.channels, self.patch = rank, channels, check_patch(patch, rank)
        self.min_valid, self.norm_pix = min_valid, norm_pix
        self.target_dim = math.prod(self.patch) * channels
        self.embed_dim = self.target_dim if embed_dim is None else embed_dim
        self.embed: nn.Module = nn.Identity() if embed_dim is None else nn.Linear(self.target_dim, embed_dim)

    def forward(self, view: View) -> Tokens:
        """Tokens of a normalised view; their values are the raw patches, `[B, N, T]`.

        Args:
            view: x `[B, C, *size]`.

        Raises:
            ConfigError: the view has another rank or another number of channels.
        """
        size = self._check(view)
        x = view.x
        return Tokens(
            values=patchify(pad_to_patches(x, self.patch), self.patch),
            coords=patch_coords(size, self.patch, x),
            extent=extent_of(view),
            grid=grid_of(size, self.patch),
            valid=token_valid(view, self.patch, self.min_valid),
        )

    def embed_values(self, values: Tensor) -> Tensor:
        """`[..., D]` of `[..., T]` raw patches."""
        embedded: Tensor = self.embed(values)
        return embedded

    def targets(self, view: View) -> Tensor:
        """`[B, N, T]` content of every patch, cells first and channels last; padding is zero."""
        self._check(view)
        return patchify(pad_to_patches(view.x, self.patch), self.patch)

    def target_valid(self, view: View) -> Tensor | None:
        """`[B, N, T]` bool: cells valid, inside the view and of a valid channel; None when all are."""
        self._check(view)
        real = value_valid(view, self.patch)
        return None if real is None else patchify(pad_to_patches(real, self.patch), self.patch)

    def loss(self, prediction: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        """`[..., K]` mean squared error of each patch over its valid values (normalised if `norm_pix`)."""
        return patch_mse(prediction, target, valid, normalise=self.norm_pix)

    def to_content(self, prediction: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        """Predictions in the units of `targets`: undoes `norm_pix` with the target's own mean and deviation.

        For pictures only: it looks at the answer.
        """
        if not self.norm_pix:
            return prediction
        normal = normalised_patches(target, valid)
        weight = torch.ones_like(target) if valid is None else valid.to(target.dtype)
        count = weight.sum(-1, keepdim=True).clamp_min(1)
        mean = (target * weight).sum(-1, keepdim=True) / count
        # Least squares through the normalised values recovers the deviation without repeating its definition.
        scale = ((target - mean) * normal * weight).sum(-1, keepdim=True) / (
            (normal.square() * weight).sum(-1, keepdim=True).clamp_min(1e-12)
        )
        return prediction * scale + mean

    def reconstruct(self, values: Tensor, view: View) -> Tensor:
        """`[B, N, T]` patch contents back to `[B, C, *size]`; padding is cut off."""
        size = self._check(view)
        return crop(unpatchify(values, grid_of(size, self.patch), self.patch, self.channels), size)

    def _check(self, view: View) -> tuple[int, ...]:
        size = tuple(view.x.shape[2:])
        if len(size) != self.rank or view.x.shape[1] != self.channels:
            raise ConfigError(
                f"tokenizer for {self.channels} channels of rank {self.rank} got a view of shape {tuple(view.x.shape)}"
            )
        return size
