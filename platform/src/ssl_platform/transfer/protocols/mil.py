"""Multiple-instance learning: a label of an item from the embeddings of its windows, weighed by attention.

A whole slide has one label and thousands of tiles, of which few may carry it; their mean drowns those. The head learns
which to look at: gated attention of Ilse, Tomczak and Welling, Attention-based Deep Multiple Instance Learning, ICML
2018 (arXiv:1802.04712, equation 9). The encoder stays frozen.

Features are bags: `[n, K, D]` with nan in the rows beyond an item's own windows (`transfer.forms.bag_features`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.errors import UsageError
from ssl_platform.transfer.metrics import metrics_of
from ssl_platform.transfer.protocols.answer import Answer, Budget
from ssl_platform.transfer.protocols.splits import Labelled, Splits
from ssl_platform.transfer.task import Task

HIDDEN = 128
DROPOUT = 0.25
LOOK_EVERY = 25
BATCH = 32
LR = 1e-3
WEIGHT_DECAY = 1e-2
Predict = Callable[[Tensor], np.ndarray]


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


def fit_mil(train: Labelled, val: Labelled, task: Task, seed: int = 0, steps: int = 1000) -> tuple[Predict, int]:
    """Fit a head on bags; the weights of the look that is best on the validation bags are kept.

    Args:
        train, val: features `[n, K, D]`, nan beyond a bag's own instances; without validation bags the last step
            counts.
        task: decides the loss and the metric.
        seed: of initial weights, order and dropout.
        steps: of AdamW, with a look at the validation bags every 25.

    Returns:
        what predicts `[n, outputs]` scores (`[n]` values for regression) of bags, and the step it is of.

    Raises:
        UsageError: the features are not bags.
    """
    if train.features.ndim != 3:
        raise UsageError("multiple-instance learning needs the vectors of all windows of an item, not their mean")
    choose = next(iter(metrics_of(task.kind, task.positive_index).values()))
    known = train.features[~train.features[..., 0].isnan()]
    mean, std = known.mean(0), known.std(0, correction=0).clamp_min(1e-6)

    def bags_of(features: Tensor) -> tuple[Tensor, Tensor]:
        valid = ~features[..., 0].isnan()
        return torch.where(valid[..., None], (features - mean) / std, torch.zeros(())), valid

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = AttentionPool(train.features.shape[-1], task.outputs)
        optimiser = torch.optim.AdamW(head.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)

        def predict(features: Tensor) -> np.ndarray:
            with torch.inference_mode():
                scores: np.ndarray = head.eval()(*bags_of(features)).numpy()
            return scores[:, 0] if task.kind == "regression" else scores

        best, chosen, kept = -np.inf, steps, None
        for step in range(1, steps + 1):
            rows = torch.randint(len(train), (min(BATCH, len(train)),))
            optimiser.zero_grad()
            _loss(head.train()(*bags_of(train.features[rows])), train.target[rows], task).backward()
            optimiser.step()
            if not len(val) or step % LOOK_EVERY:
                continue
            reached = choose(val.target.numpy(), predict(val.features))
            if reached > best:
                best, chosen = reached, step
                kept = {name: value.clone() for name, value in head.state_dict().items()}
        if kept is not None:
            head.load_state_dict(kept)
    return predict, chosen


def _loss(output: Tensor, target: Tensor, task: Task) -> Tensor:
    if task.kind == "classification":
        return F.cross_entropy(output, target.long())
    if task.kind == "regression":
        return F.mse_loss(output[:, 0], target.float())
    known = ~target.isnan()
    return F.binary_cross_entropy_with_logits(output[known], target[known].float())


def mil(splits: Splits, task: Task, budget: Budget | None = None) -> Answer:
    """Fit on the training bags, choose the step on the validation bags."""
    budget = budget or Budget()
    predict, step = fit_mil(splits.train, splits.val, task, budget.seed, budget.steps)
    return splits.final(predict, {"step": step, "hidden": HIDDEN, "lr": LR})
