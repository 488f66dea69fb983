"""Losses on cluster assignments."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ssl_platform.losses.classification import cross_view_cross_entropy


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
