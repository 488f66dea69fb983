"""The loss of learning to count: a whole holds as much as its parts, and another whole does not."""

from __future__ import annotations

from torch import Tensor

from ssl_platform.losses.masked import masked_mean
from ssl_platform.losses.precision import full_precision


@full_precision
def counting_loss(
    whole: Tensor, parts: Tensor, other: Tensor, margin: float = 10.0, valid: Tensor | None = None
) -> Tensor:
    """`|phi(D x) - sum_j phi(T_j x)|^2 + max(0, M - |phi(D y) - sum_j phi(T_j x)|^2)` (Noroozi et al., 2017, eq. 4).

    Args:
        whole: `[B, C]` counts of the small copies of x.
        parts: `[B, C]` sums of the counts of its tiles.
        other: `[B, C]` counts of the small copies of other samples y.
        margin: M, squared distance beyond which y is far enough.
        valid: `[B]` bool, which samples count (over all ranks); None: all.

    Returns:
        Scalar, the mean over samples. M where all counts are zero.
    """
    near = (whole - parts).square().sum(-1)
    far = (other - parts).square().sum(-1)
    return masked_mean(near + (margin - far).clamp_min(0), valid)
