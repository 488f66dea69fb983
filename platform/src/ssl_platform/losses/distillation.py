"""Losses of a student against a teacher."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform import distributed
from ssl_platform.losses.clustering import cross_view_cross_entropy
from ssl_platform.losses.masked import mean_of_valid
from ssl_platform.losses.precision import full_precision


@full_precision
def byol_regression(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared distance of unit vectors, `2 - 2 cos`, one direction (Grill et al., 2020, eq. 2).

    Args:
        prediction: `[..., D]` the predictor's output, of any length.
        target: `[..., D]` the teacher's output; no gradient flows into it.

    Returns:
        Scalar in `[0, 4]`.
    """
    return 2 - 2 * F.cosine_similarity(prediction, target.detach(), dim=-1).mean()


@full_precision
def negative_cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """Minus the mean cosine, one direction, with gradient in both arguments (Chen, He, 2021, eq. 1).

    Args:
        prediction: `[..., D]` the predictor's output, of any length.
        target: `[..., D]` the other branch's; detach it, or the two meet in one point.

    Returns:
        Scalar in `[-1, 1]`.
    """
    return -F.cosine_similarity(prediction, target, dim=-1).mean()


def dino_cross_entropy(
    student: Sequence[Tensor], teacher: Sequence[Tensor], temperature: float, skip_same: bool = True
) -> Tensor:
    """Every student view must give every other global view's teacher distribution (Caron et al., 2021, eq. 3).

    Args:
        student: V logits `[B, K]`, the global views first and in the teacher's order.
        teacher: probabilities `[B, K]` of the global views, from `centred_softmax` or Sinkhorn.
        temperature: the student's, above 0.
        skip_same: leave out the pairs of a view with itself.

    Returns:
        Scalar: the mean over pairs. ln K for constant logits, whatever the teacher.
    """
    return cross_view_cross_entropy(student, teacher, temperature, skip_same)


@full_precision
def masked_distillation(student: Tensor, teacher: Tensor, temperature: float, valid: Tensor | None = None) -> Tensor:
    """The student must give the teacher's distribution at every masked token (Zhou et al., 2022, iBOT, eq. 2).

    Args:
        student: `[B, M, K]` logits at the masked tokens of B crops, as many crops on every rank.
        teacher: `[B, M, K]` probabilities at the same tokens of the unmasked crops; no gradient flows into them.
        temperature: the student's, above 0.
        valid: `[B, M]` bool, False for padding of crops with fewer masked tokens; None: all are real.

    Returns:
        Scalar: the mean over crops of the mean over a crop's masked tokens. A crop without any gives 0 but counts.
    """
    rows = -(teacher.detach() * F.log_softmax(student / temperature, dim=-1)).sum(dim=-1)
    return mean_of_valid(rows, valid).mean()


@full_precision
@torch.no_grad()
def centred_softmax(logits: Tensor, centre: Tensor, temperature: float | Tensor) -> Tensor:
    """Teacher probabilities `softmax((logits - centre) / temperature)`, without gradient (DINO, eq. 1 and 4).

    Args:
        logits: `[..., K]`.
        centre: `[K]`, built from earlier steps only.
        temperature: below the student's, so that the target is sharper.
    """
    return ((logits - centre) / temperature).softmax(dim=-1)


@full_precision
@torch.no_grad()
def sharpened(probabilities: Tensor, temperature: float) -> Tensor:
    """`p^(1 / temperature)`, normalised again, without gradient (Assran et al., 2022, MSN, section 3).

    Args:
        probabilities: `[..., K]`.
        temperature: 1 changes nothing; towards 0 the largest probability becomes 1.
    """
    return (probabilities.log() / temperature).softmax(dim=-1)


@full_precision
@torch.no_grad()
def moved_centre(centre: Tensor, logits: Tensor, momentum: float = 0.9) -> Tensor:
    """The centre after a step: `momentum * centre + (1 - momentum) * mean(logits over all ranks)` (DINO, eq. 4).

    Args:
        centre: `[K]`, a buffer.
        logits: `[..., K]` teacher logits of this rank, of equal shape on all ranks.
        momentum: in `[0, 1]`.

    Returns:
        `[K]`, equal on all ranks; copy it into the buffer after the optimiser step.
    """
    mean = distributed.all_mean(logits.flatten(0, -2).mean(dim=0))
    return momentum * centre + (1 - momentum) * mean
