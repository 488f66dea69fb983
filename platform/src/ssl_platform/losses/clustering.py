"""Losses on clusters: soft codes, teacher distributions and hard labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from ssl_platform.losses.masked import masked_mean
from ssl_platform.losses.precision import full_precision
from ssl_platform.losses.supervised import masked_cross_entropy


@full_precision
def soft_cross_entropy(logits: Tensor, target: Tensor, temperature: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Mean over rows of `-sum_k target_k log softmax(logits / temperature)_k`.

    Args:
        logits: `[..., K]`.
        target: `[..., K]` probabilities; no gradient flows into them.
        temperature: above 0.
        valid: `[...]` bool or weights, which rows count (over all ranks); None: all.

    Returns:
        Scalar.
    """
    rows = -(target.detach() * F.log_softmax(logits / temperature, dim=-1)).sum(dim=-1)
    return masked_mean(rows, valid)


def swapped_prediction(scores: Sequence[Tensor], codes: Sequence[Tensor], temperature: float) -> Tensor:
    """Every view must predict the code of every other global view (Caron et al., 2020, SwAV, eq. 2).

    Args:
        scores: V tensors `[B, K]` of similarities with the prototypes, the global crops first and in the codes' order.
        codes: A <= V tensors `[B, K]` of probabilities from Sinkhorn; no gradient flows into them.
        temperature: tau, above 0.

    Returns:
        Scalar: the mean over codes of the mean over the other views. ln K at uniform scores.
    """
    return cross_view_cross_entropy(scores, codes, temperature, skip_same=True)


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
        total = total + soft_cross_entropy(logits, target, temperature)
    return total / count


@full_precision
def cluster_cross_entropy(z: Tensor, centroids: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Every embedding must be nearest to its cluster's centroid (Caron et al., 2020, DeepCluster-v2).

    Args:
        z: `[B, D]` unit vectors.
        centroids: `[K, D]` unit vectors; no gradient flows into them.
        labels: `[B]` int64 in `[0, K)`, or -1 where unknown.
        temperature: above 0.

    Returns:
        Scalar: the mean over all ranks' labelled rows, 0 (with zero gradient) where there is none. ln K where all
        centroids are equally similar.
    """
    return masked_cross_entropy(z @ centroids.detach().T / temperature, labels)
