"""Cross-entropies with hard and with soft targets."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from ssl_platform import distributed
from ssl_platform.losses.precision import full_precision

UNKNOWN = -1


@full_precision
def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy over the samples whose label is known, divided by their number on all ranks.

    Args:
        logits: `[B, K, ...]`.
        labels: `[B, ...]` int64 in `[0, K)`, or -1 where unknown.
        smoothing: label smoothing in `[0, 1)`.

    Returns:
        Scalar; 0 (with zero gradient) where no label is known.
    """
    total = F.cross_entropy(logits, labels, ignore_index=UNKNOWN, reduction="sum", label_smoothing=smoothing)
    return distributed.global_mean(total, (labels != UNKNOWN).sum())


@full_precision
def soft_cross_entropy(logits: Tensor, target: Tensor, temperature: float = 1.0) -> Tensor:
    """`-sum_k target_k log softmax(logits / temperature)_k` of every row, without a reduction.

    Args:
        logits: `[..., K]`.
        target: `[..., K]` probabilities; no gradient flows into them.
        temperature: above 0.

    Returns:
        `[...]`; take its mean, or `masked_mean` where rows may be invalid.
    """
    return -(target.detach() * F.log_softmax(logits / temperature, dim=-1)).sum(dim=-1)


@full_precision
def cross_view_cross_entropy(
    predictions: Sequence[Tensor], targets: Sequence[Tensor], temperature: float, skip_same: bool = True
) -> Tensor:
    """Mean soft cross-entropy over all pairs of a predicting view and a target view.

    Args:
        predictions: V logits `[B, K]`, one a view; the first are of the target views, in their order.
        targets: A <= V probabilities `[B, K]`; no gradient flows into them.
        temperature: of the predictions.
        skip_same: leave out the pairs of a view with itself.

    Returns:
        Scalar. ln K for constant logits, whatever the targets.

    Raises:
        ValueError: no pair is left.
    """
    count = len(targets) * len(predictions) - (min(len(targets), len(predictions)) if skip_same else 0)
    if count < 1:
        raise ValueError(
            f"{len(predictions)} predicting and {len(targets)} target views leave no pair: use at least two views"
        )
    targets = [target.detach() for target in targets]
    summed = sum(targets[1:], start=targets[0])
    total = summed.new_zeros(())
    for view, logits in enumerate(predictions):
        # The loss is linear in the target, so all targets of one view cost one product.
        target = summed - targets[view] if skip_same and view < len(targets) else summed
        total = total + soft_cross_entropy(logits, target, temperature).mean()
    return total / count
