"""From the validity of cells and channels to that of tokens and target values."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_platform.nn.patches import fits, pad_to_patches, patchify
from ssl_platform.types import View


def cell_valid(view: View) -> Tensor:
    """`[B, *size]` bool validity of the cells, made up where the view has none."""
    if view.valid is not None:
        return view.valid
    size = view.x.shape[2:]
    return torch.ones(1, *size, dtype=torch.bool, device=view.x.device).expand(view.x.shape[0], *size)


def token_valid(view: View, patch: Sequence[int], min_valid: float = 0.0) -> Tensor | None:
    """`[B, N]` bool: more than `min_valid` of the token's cells are valid; None when all are for certain."""
    # Every patch of a padded view holds at least one real cell, so padding alone hides nothing at the default.
    if view.valid is None and (min_valid == 0.0 or fits(view.x.shape[2:], patch)):
        return None
    cells = patchify(pad_to_patches(cell_valid(view)[:, None], patch), patch)
    return cells.any(-1) if min_valid == 0.0 else cells.float().mean(-1) > min_valid


def value_valid(view: View, patch: Sequence[int]) -> Tensor | None:
    """`[B, C, *size]` bool: which values are real; None when all are and no patch reaches beyond the view."""
    if view.valid is None and view.channel_valid is None and fits(view.x.shape[2:], patch):
        return None
    real = cell_valid(view)[:, None].expand(view.x.shape)
    if view.channel_valid is None:
        return real
    return real & view.channel_valid.view(*view.channel_valid.shape, *[1] * (view.x.ndim - 2))


def zero_invalid(x: Tensor, valid: Tensor | None) -> Tensor:
    """`[B, N, D]` with zeros where `[B, N]` is False."""
    if valid is None:
        return x
    return torch.where(valid[..., None], x, torch.zeros((), dtype=x.dtype, device=x.device))


def valid_mean(x: Tensor, valid: Tensor | None) -> Tensor:
    """`[B, D]` mean of `[B, N, D]` over the valid rows (`[B, N]` bool, None: all); 0 for samples without any."""
    if valid is None:
        return x.mean(dim=1)
    return zero_invalid(x, valid).sum(dim=1) / valid.sum(dim=1, keepdim=True).clamp_min(1).to(x.dtype)
