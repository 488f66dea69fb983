"""Multiple-instance learning: a label of an item from the embeddings of its windows, weighed by attention.

A whole slide has one label and thousands of tiles, of which few may carry it; their mean drowns those. The head learns
which to look at: gated attention of Ilse, Tomczak and Welling, Attention-based Deep Multiple Instance Learning, ICML
2018 (arXiv:1802.04712, equation 9). The encoder stays frozen.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_platform.transfer.protocols.answer import Answer, Budget
from ssl_platform.transfer.protocols.bags import LR, fit_bags
from ssl_platform.transfer.protocols.splits import Splits
from ssl_platform.transfer.task import Task

HIDDEN = 128
DROPOUT = 0.25


class AttentionPool(nn.Module):
    """Pools a bag by gated attention and predicts from the pooled vector.

    Args:
        dim: D, numbers of an instance.
        outputs: numbers predicted for a bag.
        hidden: width of the attention.
        dropout: on the pooled vector.
    """

    def __init__(self, dim: int, outputs: int, hidden: int = HIDDEN, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.content, self.gate, self.weight = nn.Linear(dim, hidden), nn.Linear(dim, hidden), nn.Linear(hidden, 1)
        self.dropout, self.head = nn.Dropout(dropout), nn.Linear(dim, outputs)

    def attention(self, bags: Tensor, valid: Tensor) -> Tensor:
        """`[B, K]` weights of the instances, zero where not valid; they sum to one.

        Args:
            bags: `[B, K, D]`.
            valid: `[B, K]` bool, at least one a bag.
        """
        score = self.weight(torch.tanh(self.content(bags)) * torch.sigmoid(self.gate(bags)))[..., 0]
        return score.masked_fill(~valid, -torch.inf).softmax(dim=1)

    def forward(self, bags: Tensor, valid: Tensor) -> Tensor:
        """`[B, outputs]`; arguments as in `attention`."""
        pooled = (self.attention(bags, valid)[..., None] * bags).sum(dim=1)
        return self.head(self.dropout(pooled))


def mil(splits: Splits, task: Task, budget: Budget | None = None) -> Answer:
    """Fit on the training bags, choose the step on the validation bags."""
    predict, step = fit_bags(AttentionPool, splits.train, splits.val, task, budget or Budget())
    return splits.final(predict, {"step": step, "hidden": HIDDEN, "lr": LR})
