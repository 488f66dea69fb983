"""The loss of heads that protocols train by gradient."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from ssl_platform.transfer.task import Task


def task_loss(output: Tensor, target: Tensor, task: Task) -> Tensor:
    """Mean cross-entropy of classes, binary cross-entropy of known labels, or squared error of values.

    Args:
        output: `[B, K]` logits, or `[B, 1]` values.
        target: `[B]` classes or values, or `[B, K]` labels with nan for unknown.
        task: decides.
    """
    if task.kind == "classification":
        return F.cross_entropy(output, target.long())
    if task.kind == "regression":
        return F.mse_loss(output[:, 0], target.to(output.dtype))
    known = ~target.isnan()
    if not bool(known.any()):  # the mean of nothing is nan
        return output.sum() * 0
    return F.binary_cross_entropy_with_logits(output[known], target[known].to(output.dtype))
