"""Adversarial losses: a critic tells real from made, a painter makes what it cannot tell."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ssl_platform.losses.precision import full_precision


@full_precision
def critic_loss(real: Tensor, made: Tensor) -> Tensor:
    """`-log D(real) - log(1 - D(made))`, the mean over samples (Goodfellow et al., 2014, eq. 1).

    Args:
        real: `[B]` logits of real samples.
        made: `[B]` logits of made ones.

    Returns:
        Scalar. 2 ln 2 for a critic that cannot tell.
    """
    return F.softplus(-real).mean() + F.softplus(made).mean()


@full_precision
def fooling_loss(made: Tensor) -> Tensor:
    """`-log D(made)`, the mean over `[B]` logits: the painter's loss. It learns even where the critic is sure."""
    return F.softplus(-made).mean()
