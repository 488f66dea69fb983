"""Negatives made of other negatives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.losses.precision import full_precision


@dataclass(frozen=True)
class Hard:
    """The hardest negatives of every query.

    Attributes:
        rows: `[B, N]` int64, rows of the pool, hardest first; those left out come last.
        known: `[B]` int64, how many of them are not left out.
    """

    rows: Tensor
    known: Tensor


@full_precision
@torch.no_grad()
def hardest(q: Tensor, pool: Tensor, count: int, barred: Tensor | None = None) -> Hard:
    """The vectors of a pool most similar to each query (Kalantidis et al., 2020, section 4.1).

    Args:
        q: `[B, D]` queries, of any length.
        pool: `[K, D]`, of any length.
        count: N; at most K are returned.
        barred: `[B, K]` bool, what must not be chosen.
    """
    similarity = F.normalize(q, dim=1) @ F.normalize(pool, dim=1).T
    if barred is not None:
        similarity = similarity.masked_fill(barred, -torch.inf)
    found = similarity.topk(min(count, len(pool)), dim=1)
    return Hard(found.indices, found.values.isfinite().sum(dim=1))


@full_precision
@torch.no_grad()
def mix_pairs(pool: Tensor, hard: Hard, first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Unit vectors between two hard negatives (Kalantidis et al., 2020, eq. 4).

    Args:
        pool: `[K, D]`, of any length.
        hard: of `hardest`.
        first, second: `[B, s]` in [0, 1): which of a query's hard negatives, as a fraction of their number.
        share: `[B, s]` of the first in the mixture.

    Returns:
        `[B, s, D]`.
    """
    a, b = (_drawn(pool, hard, place) for place in (first, second))
    return F.normalize(torch.lerp(b, a, share[..., None].to(a.dtype)), dim=2)


@full_precision
@torch.no_grad()
def mix_with_query(q: Tensor, pool: Tensor, hard: Hard, place: Tensor, share: Tensor) -> Tensor:
    """Unit vectors between the query and a hard negative, nearer to the negative (Kalantidis et al., 2020, eq. 5).

    Args:
        q: `[B, D]` queries, of any length.
        pool: `[K, D]`, of any length.
        hard: of `hardest`.
        place: `[B, s]` in [0, 1), as in `mix_pairs`.
        share: `[B, s]` of the query in the mixture, in [0, 0.5].

    Returns:
        `[B, s, D]`.
    """
    negative, query = _drawn(pool, hard, place), F.normalize(q, dim=1)[:, None]
    return F.normalize(torch.lerp(negative, query, share[..., None].to(query.dtype)), dim=2)


def _drawn(pool: Tensor, hard: Hard, place: Tensor) -> Tensor:
    """`[B, s, D]` unit hard negatives at `place`, a fraction of those known."""
    column = (place * hard.known[:, None]).long().clamp_max(hard.rows.shape[1] - 1)
    return F.normalize(pool, dim=1)[hard.rows.gather(1, column)]
