"""Linear probe: a linear head on frozen, standardised features, its weight decay chosen on the validation split.

Classification and multi-label heads are fitted to convergence by L-BFGS, regression by ridge in closed form, so there
is no learning rate to tune and the result does not depend on the order of the data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_platform.transfer.metrics import metrics_of
from ssl_platform.transfer.probabilities import probabilities
from ssl_platform.transfer.protocols.answer import Answer, Budget
from ssl_platform.transfer.protocols.splits import Labelled, Splits
from ssl_platform.transfer.task import Task

DECAYS = tuple(10.0**e for e in range(-5, 2))


@dataclass(frozen=True)
class LinearFit:
    """A linear head and how features are standardised for it.

    Attributes:
        weight, bias: `[D, K]` and `[K]` float64.
        mean, std: `[D]` float64, of the features it was fitted to.
        decay: weight of `|W|^2 / 2` beside the mean loss.
        kind: of the task.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    std: Tensor
    decay: float
    kind: str

    def __call__(self, features: Tensor) -> np.ndarray:
        """`[n, D]` features to `[n, K]` probabilities, or `[n]` values for regression."""
        found = ((features.double() - self.mean) / self.std) @ self.weight + self.bias
        return (found[:, 0] if self.kind == "regression" else probabilities(self.kind, found)).numpy()


def fit_linear(bank: Labelled, task: Task, decay: float, iterations: int = 200) -> LinearFit:
    """Fit a head.

    Args:
        bank: training rows.
        task: decides the loss.
        decay: weight of `|W|^2 / 2` added to the mean loss.
        iterations: most L-BFGS iterations.
    """
    x = bank.features.double()
    mean, std = x.mean(0), x.std(0, correction=0).clamp_min(1e-6)
    x = (x - mean) / std
    if task.kind == "regression":
        weight, bias = _ridge(x, bank.target.double(), decay)
        return LinearFit(weight, bias, mean, std, decay, task.kind)
    target = bank.target
    known = None if task.kind == "classification" else ~torch.isnan(target)

    def objective(weight: Tensor, bias: Tensor) -> Tensor:
        logits = x @ weight + bias
        if known is None:
            fit = F.cross_entropy(logits, target.long())
        else:
            fit = F.binary_cross_entropy_with_logits(logits[known], target.double()[known])
        return fit + 0.5 * decay * weight.square().sum()

    w, b = minimise(objective, x.shape[1], len(task.classes), iterations)
    return LinearFit(w, b, mean, std, decay, task.kind)


def minimise(
    objective: Callable[[Tensor, Tensor], Tensor], dim: int, outputs: int, iterations: int = 200
) -> tuple[Tensor, Tensor]:
    """Weights `[dim, outputs]` and biases `[outputs]` (float64) that minimise a convex objective, by L-BFGS from zero.

    Args:
        objective: of weights and biases, a scalar.
        dim, outputs: their sizes.
        iterations: most iterations.
    """
    weight = torch.zeros(dim, outputs, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(outputs, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weight, bias], max_iter=iterations, tolerance_grad=1e-7, history_size=20, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = objective(weight, bias)
        value.backward()
        return value

    optimiser.step(closure)
    return weight.detach(), bias.detach()


def _ridge(x: Tensor, y: Tensor, decay: float) -> tuple[Tensor, Tensor]:
    gram = x.T @ x / len(x) + decay * torch.eye(x.shape[1], dtype=x.dtype)
    weight = torch.linalg.solve(gram, x.T @ (y - y.mean()) / len(x))
    return weight[:, None], y.mean()[None]


def choose_linear(train: Labelled, val: Labelled, task: Task) -> LinearFit:
    """The head whose weight decay does best on the validation items, of equals the strongest; 0.01 without any."""
    if not len(val):
        return fit_linear(train, task, 1e-2)
    choose = next(iter(metrics_of(task.kind, task.positive_index).values()))
    best, value = None, -np.inf
    for decay in sorted(DECAYS, reverse=True):
        found = fit_linear(train, task, decay)
        reached = choose(val.target.numpy(), found(val.features))
        if best is None or reached > value:
            best, value = found, reached
    assert best is not None
    return best


def linear(splits: Splits, task: Task, budget: Budget | None = None) -> Answer:
    """Choose the weight decay on the validation split, refit on all that is known. Nothing is drawn."""
    decay = choose_linear(splits.train, splits.val, task).decay
    return splits.final(fit_linear(splits.known, task, decay), {"weight_decay": decay})
