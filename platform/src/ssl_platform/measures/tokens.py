"""How unlike the tokens of one item are."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.measures.representation import wide


@torch.no_grad()
def token_similarity(tokens: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean cosine of the pairs of an item's tokens (Park et al., 2023, section 2): 1 when all are alike.

    Args:
        tokens: `[B, N, D]`.
        valid: `[B, N]` bool, or None.

    Returns:
        `[B]`; nan for items of fewer than two valid tokens.
    """
    unit = F.normalize(wide(tokens), dim=-1)
    if valid is not None:
        unit = unit * valid[..., None]
    real = unit.square().sum(dim=(1, 2))  # tokens of length one: those that are zero have no direction
    pairs = real * (real - 1)
    found = (unit.sum(dim=1).square().sum(dim=-1) - real) / pairs
    return torch.where(pairs > 0.5, found, torch.nan)
