"""Linear probe by SGD: block, pooling and learning rate are chosen on the validation split.

The other common linear evaluation: heads on all candidates at all learning rates are trained side by side on the same
batches, and validation keeps one (Oquab et al., DINOv2, 2023, arXiv:2304.07193, section B.3). SGD with momentum 0.9, no
weight decay, cosine schedule, on standardised features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ssl_platform.transfer.metrics import metrics_of
from ssl_platform.transfer.probabilities import probabilities
from ssl_platform.transfer.protocols.answer import Answer, Budget, Predict
from ssl_platform.transfer.protocols.linear_layers import candidate
from ssl_platform.transfer.protocols.loss import task_loss
from ssl_platform.transfer.protocols.splits import Labelled, Splits
from ssl_platform.transfer.task import Task

RATES = (1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)
MOMENTUM = 0.9
BATCH = 128


def fit_sgd(bank: Labelled, task: Task, rates: Sequence[float], steps: int, seed: int) -> list[Predict]:
    """Heads of one kind of features, one a learning rate, on the same batches.

    Args:
        bank: training rows, features `[n, D]`.
        task: decides the loss.
        rates: peak learning rates.
        steps: of SGD.
        seed: of the batches; heads start at zero.
    """
    x = bank.features.double()
    mean, std = x.mean(0), x.std(0, correction=0).clamp_min(1e-6)
    x, target = ((x - mean) / std).float(), bank.target
    shift, scale = 0.0, 1.0
    if task.kind == "regression":
        shift, scale = float(target.mean()), max(float(target.std(correction=0)), 1e-12)
        target = (target - shift) / scale
    weight = torch.zeros(len(rates), x.shape[1], task.outputs, requires_grad=True)
    bias = torch.zeros(len(rates), 1, task.outputs, requires_grad=True)
    pace = torch.tensor(rates)[:, None, None]
    speeds = [torch.zeros_like(weight), torch.zeros_like(bias)]
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        rows = torch.randint(len(x), (min(BATCH, len(x)),), generator=generator)
        outputs = x[rows] @ weight + bias  # [L, B, K]
        loss = torch.stack([task_loss(output, target[rows], task) for output in outputs]).sum()
        found = torch.autograd.grad(loss, (weight, bias))
        rate = 0.5 * (1 + math.cos(math.pi * step / steps)) * pace
        with torch.no_grad():
            for value, speed, gradient in zip((weight, bias), speeds, found, strict=True):
                value -= rate * speed.mul_(MOMENTUM).add_(gradient)
    weights, biases = weight.detach().double(), bias.detach().double()

    def head(number: int) -> Predict:
        def predict(features: Tensor) -> np.ndarray:
            output = ((features.double() - mean) / std) @ weights[number] + biases[number]
            score: np.ndarray = probabilities(task.kind, output).numpy()
            return score[:, 0] * scale + shift if task.kind == "regression" else score

        return predict

    return [head(number) for number in range(len(rates))]


def linear_sgd(splits: Splits, task: Task, budget: Budget | None = None) -> Answer:
    """Choose block, pooling and learning rate on the validation split, train again on all that is known.

    Without validation items the encoder's pooled vector at the middle rate is taken.
    """
    budget = budget or Budget()
    choose = next(iter(metrics_of(task.kind, task.positive_index).values()))
    target = splits.val.target.numpy()
    best, rate, top = next(iter(splits.parts)), RATES[len(RATES) // 2], -np.inf
    reached: dict[str, float] = {}
    for name, columns in splits.parts.items() if len(splits.val) else ():
        asked = candidate(splits.val, columns).features
        heads = fit_sgd(candidate(splits.train, columns), task, RATES, budget.steps, budget.seed)
        found = np.nan_to_num([choose(target, head(asked)) for head in heads], nan=-np.inf)
        reached[name] = float(found.max())
        if reached[name] > top:
            best, rate, top = name, RATES[int(found.argmax())], reached[name]
    own = splits.parts[best]
    (head,) = fit_sgd(candidate(splits.known, own), task, (rate,), budget.steps, budget.seed)
    details = {"features": best, "lr": rate, "steps": budget.steps, "validation": reached}
    return splits.final(lambda features: head(features[:, own]), details)
