"""Exact numbers of tokens from any score: the step that all mask policies share."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_platform.errors import ConfigError
from ssl_platform.masking.mask import Split
from ssl_platform.types import Mask


def masked_count(total: int, ratio: float) -> int:
    """How many of `total` tokens a ratio masks: at least one is masked and one visible.

    As in MAE, the visible ones are `floor(total * (1 - ratio))`; rounding errors of `1 - ratio` do not count.

    Raises:
        ConfigError: the ratio is outside (0, 1), or there are too few tokens to split.
    """
    if not 0.0 < ratio < 1.0:
        raise ConfigError(f"mask ratio {ratio} must lie between 0 and 1")
    if total < 2:
        raise ConfigError(f"a view of {total} token cannot be masked: use larger views or smaller patches")
    visible = int(total * (1.0 - ratio) + 1e-6)
    return total - min(max(visible, 1), total - 1)


def split_lowest(score: Tensor, masked: int, valid: Tensor | None, grid: tuple[int, ...] | None = None) -> Split:
    """Mask the tokens with the lowest score.

    A row with only `n < N` valid tokens is split in the same proportion: `floor(n * masked / N)` of its valid tokens
    are masked and the others are visible; both masks are padded through `Mask.valid`. Invalid tokens are in neither.

    Args:
        score: `[B, N]`; break ties before, in random order.
        masked: how many of N tokens are masked.
        valid: `[B, N]` bool, or None when all are valid.
        grid: the token grid, or None.
    """
    total = score.shape[1]
    if valid is None:
        order = score.argsort(dim=1)
        return Split(Mask(order[:, masked:], total, None, grid), Mask(order[:, :masked], total, None, grid))
    order = score.masked_fill(~valid, torch.inf).argsort(dim=1)
    n = valid.sum(dim=1, keepdim=True)
    hidden = (n * masked).div(total, rounding_mode="floor")
    place = torch.arange(total, device=score.device)[None]
    first = Mask(order[:, :masked], total, place[:, :masked] < hidden, grid)
    rest = (hidden + place[:, : total - masked]).clamp_max(total - 1)
    second = Mask(order.gather(1, rest), total, place[:, : total - masked] < n - hidden, grid)
    return Split(second, first)
