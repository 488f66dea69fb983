"""Contrastive losses over the global batch, a queue, or both."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform import distributed
from ssl_platform.losses.precision import full_precision


@full_precision
def nt_xent(a: Tensor, b: Tensor, temperature: float, group: Tensor | None = None) -> Tensor:
    """Normalised temperature-scaled cross-entropy (Chen et al., 2020, eq. 1).

    Each of the 2N embeddings of the global batch must pick its sibling among the other 2N - 1.

    Args:
        a, b: `[B, D]` embeddings of two views of the same samples, of any length.
        temperature: tau, above 0.
        group: `[B]` int64; other samples of the same group are left out of the negatives.

    Returns:
        Scalar. log(2N - 1) when all embeddings are equal.

    Raises:
        ValueError: `a` and `b` are not `[B, D]` of one shape.
    """
    logits, sibling = pair_logits(a, b, temperature, group)
    return F.cross_entropy(logits, sibling)


@full_precision
def pair_logits(a: Tensor, b: Tensor, temperature: float, group: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Cosines over temperature of this rank's views with those of all ranks, and the column of each one's sibling.

    Args:
        a, b: `[B, D]` embeddings of two views of the same samples, of any length.
        temperature: above 0.
        group: `[B]` int64; other samples of the same group are left out.

    Returns:
        `[2B, 2N]`, -inf for a view itself and for what is left out, and `[2B]` int64.

    Raises:
        ValueError: `a` and `b` are not `[B, D]` of one shape.
    """
    _check_pair(a, b)
    count = len(a)
    local = torch.stack((F.normalize(a, dim=1), F.normalize(b, dim=1)))  # [2, B, D]
    everyone = distributed.gather(local.transpose(0, 1)).transpose(0, 1)  # [2, N, D]
    total = everyone.shape[1]
    logits = local.flatten(0, 1) @ everyone.flatten(0, 1).T / temperature  # [2B, 2N]

    row = torch.arange(count, device=a.device) + distributed.offset(count)
    itself = torch.cat((row, row + total))
    sibling = torch.cat((row + total, row))
    column = torch.arange(2 * total, device=a.device)
    dropped = column == itself[:, None]
    if group is not None:
        same = (group[:, None] == distributed.gather(group)).repeat(2, 2)  # [2B, 2N]
        dropped = dropped | (same & (column != sibling[:, None]))
    return logits.masked_fill(dropped, -torch.inf), sibling


@full_precision
def info_nce(
    q: Tensor,
    k: Tensor,
    temperature: float,
    *,
    in_batch: bool | None = None,
    queue: Tensor | None = None,
    negatives: Tensor | None = None,
    group: Tensor | None = None,
    queue_group: Tensor | None = None,
) -> Tensor:
    """InfoNCE: each query must pick its own key among negatives (van den Oord et al., 2018; He et al., 2020).

    Takes what `key_logits` takes.

    Returns:
        Scalar. log(n) when all n candidates are equally similar.

    Raises:
        ValueError: shapes do not fit, or there is no source of negatives.
    """
    logits, own = key_logits(
        q, k, temperature, in_batch=in_batch, queue=queue, negatives=negatives, group=group, queue_group=queue_group
    )
    return F.cross_entropy(logits, own)


@full_precision
def key_logits(
    q: Tensor,
    k: Tensor,
    temperature: float,
    *,
    in_batch: bool | None = None,
    queue: Tensor | None = None,
    negatives: Tensor | None = None,
    negatives_valid: Tensor | None = None,
    group: Tensor | None = None,
    queue_group: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Cosines over temperature of each query with its candidates, and where its own key stands among them.

    Gradients reach `k`, `queue` and `negatives` unless they are detached by the caller.

    Args:
        q: `[B, D]` queries, of any length.
        k: `[B, D]` their positive keys.
        temperature: above 0.
        in_batch: whether the other samples' keys, of all ranks, are negatives (MoCo v3); None: only where there is
            neither a queue nor negatives of the samples' own.
        queue: `[Q, D]` shared negatives (MoCo v1 and v2), or None.
        negatives: `[B, M, D]` negatives of each sample's own (SeCo), or None.
        negatives_valid: `[B, M]` bool, or broadcast to it: which of `negatives` count.
        group: `[B]` int64; keys of the same group are left out of the negatives.
        queue_group: `[Q]` group of every queue entry; needs `group`.

    Returns:
        `[B, n]` logits, -inf where a candidate is left out, and `[B]` the column of each query's own key.

    Raises:
        ValueError: shapes do not fit, or there is no source of negatives.
    """
    _check_pair(q, k)
    if in_batch is None:
        in_batch = queue is None and negatives is None
    if not in_batch and queue is None and negatives is None:
        raise ValueError("info_nce has no negatives: pass in_batch=True, queue= or negatives=")
    count = len(q)
    q, k = F.normalize(q, dim=1), F.normalize(k, dim=1)
    if in_batch:
        keys = distributed.gather(k)
        target = torch.arange(count, device=q.device) + distributed.offset(count)
        logits = q @ keys.T  # [B, N]
        if group is not None:
            other = torch.arange(len(keys), device=q.device) != target[:, None]
            logits = logits.masked_fill((group[:, None] == distributed.gather(group)) & other, -torch.inf)
    else:
        target = torch.zeros(count, dtype=torch.int64, device=q.device)
        logits = (q * k).sum(1, keepdim=True)  # [B, 1]
    candidates = [logits]
    if queue is not None:
        similarity = q @ F.normalize(queue, dim=1).T  # [B, Q]
        if group is not None and queue_group is not None:
            similarity = similarity.masked_fill(group[:, None] == queue_group, -torch.inf)
        candidates.append(similarity)
    if negatives is not None:
        similarity = torch.einsum("bd,bmd->bm", q, F.normalize(negatives, dim=2))
        if negatives_valid is not None:
            similarity = similarity.masked_fill(~negatives_valid, -torch.inf)
        candidates.append(similarity)
    return torch.cat(candidates, dim=1) / temperature, target


@torch.no_grad()
def picked(logits: Tensor, target: Tensor) -> Tensor:
    """Share of the rows of `[B, n]` logits whose `target` (`[B]`) is above all others: a tie is no pick."""
    own = logits.gather(1, target[:, None])
    return ((logits >= own).sum(dim=1) == 1).to(logits.dtype).mean()


def _check_pair(a: Tensor, b: Tensor) -> None:
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(f"needs two [B, D] tensors of one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
