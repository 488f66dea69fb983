"""What a model's outputs say, as numbers that can be averaged and compared across items."""

from __future__ import annotations

from torch import Tensor


def probabilities(kind: str, output: Tensor) -> Tensor:
    """`[B, K]` probabilities of logits; values as they are.

    Logits of several classes are known only up to a number of each item's own: to rank items by one class, as the area
    under the ROC curve does, takes probabilities.

    Args:
        kind: of the task.
        output: `[B, K]` logits, or values.
    """
    if kind == "classification":
        return output.softmax(dim=1)
    return output.sigmoid() if kind == "multi-label" else output
