"""Weighted nearest-neighbour classification."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.measures.representation import wide


@torch.no_grad()
def knn_vote(
    queries: Tensor,
    bank: Tensor,
    labels: Tensor,
    k: int = 20,
    temperature: float = 0.07,
    classes: int | None = None,
    leave_one_out: bool = False,
    groups: Tensor | None = None,
    chunk: int = 1024,
) -> Tensor:
    """Votes of the k most similar bank rows, weighted by `exp(cosine / temperature)` (Wu et al., 2018, section 3.4).

    Args:
        queries: `[n, D]` embeddings.
        bank: `[m, D]` embeddings with labels.
        labels: `[m]` int64 classes, -1 where unknown (such rows never vote); or `[m, K]` float, 0/1 of several labels
            or values to average, nan where unknown (such entries are left out of their column).
        k: neighbours; at most as many as there are.
        temperature: of the weights.
        classes: number of classes K; None: the largest label plus one. Only for integer labels.
        leave_one_out: the queries are the bank's rows, and none is its own neighbour.
        groups: `[m]`; with `leave_one_out`, rows of the query's group are no neighbours either.
        chunk: queries handled at once, which bounds memory to `chunk * m` similarities.

    Returns:
        `[n, K]` scores: weighted means of the neighbours' labels, so rows sum to 1 for classes. A query without any
        neighbour gets nan.

    Raises:
        ValueError: `leave_one_out` with other queries than the bank's rows, or an empty bank.
    """
    if leave_one_out and len(queries) != len(bank):
        raise ValueError(f"leave_one_out needs the bank's rows as queries, got {len(queries)} for {len(bank)} rows")
    if len(bank) == 0:
        raise ValueError("kNN needs at least one labelled row in the bank")
    queries, bank = F.normalize(wide(queries), dim=1), F.normalize(wide(bank), dim=1)
    values, known = _targets(labels, classes, bank.dtype)
    voter = known.any(dim=1)
    scores = []
    for start in range(0, len(queries), chunk):
        block = queries[start : start + chunk]
        similarity = (block @ bank.T).masked_fill(~voter, -torch.inf)
        if leave_one_out:
            row = torch.arange(start, start + len(block), device=bank.device)
            barred = row[:, None] == torch.arange(len(bank), device=bank.device)
            if groups is not None:
                barred = barred | (groups[row][:, None] == groups)
            similarity = similarity.masked_fill(barred, -torch.inf)
        nearest, index = similarity.topk(min(k, len(bank)), dim=1)
        # Shares rather than exponentials: the vote is the same and nothing overflows at a low temperature.
        weight = (nearest / temperature).softmax(dim=1)[:, :, None] * known[index]
        scores.append((weight * values[index]).sum(dim=1) / weight.sum(dim=1))
    return torch.cat(scores)


def _targets(labels: Tensor, classes: int | None, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """`[m, K]` values with zeros where unknown, and which are known."""
    if labels.is_floating_point():
        table = labels if labels.ndim == 2 else labels[:, None]
        return table.nan_to_num(0.0).to(dtype), ~table.isnan()
    count = classes if classes is not None else int(labels.max()) + 1
    known = (labels >= 0)[:, None].expand(-1, max(1, count))
    return F.one_hot(labels.clamp_min(0), max(1, count)).to(dtype), known
