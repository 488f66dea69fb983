"""The loss of relational reasoning: are two things one and the same?"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ssl_platform.losses.masked import masked_mean
from ssl_platform.losses.precision import full_precision


@full_precision
def relation_loss(
    scores: Tensor, same: Tensor, valid: Tensor | None = None, gamma: float = 2.0, alpha: float = 0.5
) -> Tensor:
    """Focal binary cross-entropy of relation scores (Patacchiola, Storkey, 2020, eq. 5; Lin et al., 2017, eq. 5).

    Args:
        scores: `[...]` logits of being the same.
        same: `[...]` bool.
        valid: `[...]` bool, which pairs count (over all ranks); None: all.
        gamma: weight of hard pairs, `(1 - p_t) ** gamma`; 0 for plain cross-entropy.
        alpha: weight of the positives, 1 - alpha that of the negatives; both count fully where gamma is 0.

    Returns:
        Scalar. At scores of zero ln 2 without focus, else `alpha 2^-gamma ln 2` (0.0866 with the defaults).
    """
    target = same.to(scores.dtype)
    error = F.binary_cross_entropy_with_logits(scores, target, reduction="none")
    if gamma:
        right = (-error).exp()  # p_t, the probability of the right answer
        error = (target * alpha + (1 - target) * (1 - alpha)) * (1 - right) ** gamma * error
    return masked_mean(error, valid)
