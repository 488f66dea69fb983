"""Training a head on bags of frozen vectors: windows for `mil`, tokens for `attentive`.

Features are bags: `[n, K, D]` with nan in the rows beyond an item's own (`transfer.forms.bag_features`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from ssl_platform.errors import UsageError
from ssl_platform.transfer.metrics import metrics_of
from ssl_platform.transfer.probabilities import probabilities
from ssl_platform.transfer.protocols.answer import Budget, Predict
from ssl_platform.transfer.protocols.loss import task_loss
from ssl_platform.transfer.protocols.splits import Labelled
from ssl_platform.transfer.task import Task

LOOK_EVERY = 25
BATCH = 32
LR = 1e-3
WEIGHT_DECAY = 1e-2


def fit_bags(
    head_of: Callable[[int, int], nn.Module], train: Labelled, val: Labelled, task: Task, budget: Budget
) -> tuple[Predict, int]:
    """Fit a head on bags; the weights of the look that is best on the validation bags are kept.

    Args:
        head_of: the head for D numbers of an instance and a number of outputs, called with bags `[B, K, D]` and their
            `[B, K]` bool of instances that are there.
        train, val: features `[n, K, D]`, nan beyond a bag's own instances; without validation bags the last step
            counts.
        task: decides the loss and the metric.
        budget: steps of AdamW, with a look at the validation bags every 25, and the seed of initial weights, order and
            dropout.

    Returns:
        what predicts `[n, outputs]` scores (`[n]` values for regression) of bags, and the step it is of.

    Raises:
        UsageError: the features are not bags.
    """
    if train.features.ndim != 3:
        raise UsageError("this protocol needs the vectors of all windows or tokens of an item, not their mean")
    choose = next(iter(metrics_of(task.kind, task.positive_index).values()))
    known = train.features[~train.features[..., 0].isnan()]
    mean, std = known.mean(0), known.std(0, correction=0).clamp_min(1e-6)
    shift, scale = 0.0, 1.0
    if task.kind == "regression":
        shift, scale = float(train.target.mean()), max(float(train.target.std(correction=0)), 1e-12)

    def bags_of(features: Tensor) -> tuple[Tensor, Tensor]:
        valid = ~features[..., 0].isnan()
        return torch.where(valid[..., None], (features - mean) / std, torch.zeros(())), valid

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(budget.seed)
        head = head_of(train.features.shape[-1], task.outputs)
        optimiser = torch.optim.AdamW(head.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)

        def predict(features: Tensor) -> np.ndarray:
            with torch.inference_mode():
                found = [head.eval()(*bags_of(some)) for some in features.split(BATCH)]
            scores: np.ndarray = probabilities(task.kind, torch.cat(found).double()).numpy()
            return scores[:, 0] * scale + shift if task.kind == "regression" else scores

        best, chosen, kept = -np.inf, budget.steps, None
        for step in range(1, budget.steps + 1):
            rows = torch.randint(len(train), (min(BATCH, len(train)),))
            optimiser.zero_grad()
            target = train.target[rows]
            if task.kind == "regression":
                target = (target - shift) / scale
            task_loss(head.train()(*bags_of(train.features[rows])), target, task).backward()
            optimiser.step()
            if not len(val) or (step % LOOK_EVERY and step != budget.steps):
                continue
            reached = choose(val.target.numpy(), predict(val.features))
            if reached > best:
                best, chosen = reached, step
                kept = {name: value.clone() for name, value in head.state_dict().items()}
        if kept is not None:
            head.load_state_dict(kept)
    return predict, chosen
