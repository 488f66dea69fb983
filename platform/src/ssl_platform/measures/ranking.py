"""Is the right one the nearest? Ranks of a true answer in a bank."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def mean_reciprocal_rank(queries: Tensor, bank: Tensor, answer: Tensor) -> Tensor:
    """Mean of `1 / rank` of each query's answer by distance (IWM: Garrido et al., 2024, section 4).

    Args:
        queries: `[n, D]` predictions.
        bank: `[n, K, D]` (or `[K, D]` for all queries) what there is to choose from.
        answer: `[n]` int64 which entry is right.

    Returns:
        Scalar in `[1 / K, 1]`; ties count half. A random guess has `(1 + 1/2 + ... + 1/K) / K`.
    """
    distance = torch.cdist(queries[:, None], bank)[:, 0]
    own = distance.gather(1, answer[:, None])
    others = torch.ones_like(distance).scatter_(1, answer[:, None], 0.0)
    before = ((distance < own) + 0.5 * (distance == own)) * others
    return (1 / (1 + before.sum(dim=1))).mean()
