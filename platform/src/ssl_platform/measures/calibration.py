"""Does a model know how sure it may be?"""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_platform.measures.representation import wide


@torch.no_grad()
def calibration_error(confidence: Tensor, correct: Tensor, bins: int = 15) -> Tensor:
    """Expected calibration error: mean distance of confidence and accuracy in equal bins of confidence, weighted by
    what is in them (Naeini et al., 2015; Guo et al., 2017, equation 3).

    Args:
        confidence: `[n]` probability given to what was said, in `[0, 1]`.
        correct: `[n]` bool (or 0/1), whether it was right.
        bins: bins `(low, high]`; the first holds 0 too.

    Returns:
        Scalar in `[0, 1]`.

    Raises:
        ValueError: there is nothing to measure.
    """
    if not len(confidence):
        raise ValueError("calibration needs at least one prediction")
    confidence = wide(confidence)
    hit = correct.to(confidence.dtype)
    edges = torch.linspace(0, 1, bins + 1, dtype=confidence.dtype, device=confidence.device)
    at = torch.bucketize(confidence, edges[1:-1])
    gap = torch.zeros(bins, dtype=confidence.dtype, device=confidence.device).index_add_(0, at, confidence - hit)
    return gap.abs().sum() / len(confidence)


@torch.no_grad()
def overconfidence(confidence: Tensor, correct: Tensor) -> Tensor:
    """Mean confidence less accuracy, in `[-1, 1]`: above 0 where a model is too sure of itself."""
    confidence = wide(confidence)
    return (confidence - correct.to(confidence.dtype)).mean()
