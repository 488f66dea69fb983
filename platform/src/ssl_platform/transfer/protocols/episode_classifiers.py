"""Classifiers of few-shot episodes, fitted to many episodes at once.

The choices of Tian et al., Rethinking Few-Shot Image Classification, ECCV 2020 (arXiv:2003.11539), section 4. Shapes: E
episodes of N classes (ways) with K labelled items each (shots), of D numbers. Each class's score is linear in an item,
`query @ weight + bias`, but for `nearest`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Linear = tuple[Tensor, Tensor]
"""Weights `[E, D, N]` and biases `[E, 1, N]`."""
C = 1.0
"""Weight of the summed loss beside `|W|^2 / 2`, as the paper has it."""


def logistic(support: Tensor) -> Linear:
    """Multinomial logistic regression with `|W|^2 / 2` beside C times the summed cross-entropy.

    Args:
        support: `[E, N, K, D]`.
    """

    def loss(logits: Tensor, side: Tensor) -> Tensor:
        return -(logits.log_softmax(dim=-1) * side).sum()

    return _fit(support.double(), loss)


def svm(support: Tensor) -> Linear:
    """Linear support-vector machines, one class against the rest, squared hinge, on standardised features."""
    flat = support.double().flatten(1, 2)
    mean, std = flat.mean(dim=1, keepdim=True), flat.std(dim=1, correction=0, keepdim=True).clamp_min(1e-6)

    def loss(logits: Tensor, side: Tensor) -> Tensor:
        return (1 - (2 * side - 1) * logits).clamp_min(0).square().sum()

    weight, bias = _fit(((flat - mean) / std).view(support.shape), loss)
    weight = weight / std.transpose(1, 2)
    return weight, bias - mean @ weight


def prototype(support: Tensor) -> Linear:
    """The nearest class mean: `-|q - m|^2 / 2` less what all classes share."""
    means = support.double().mean(dim=2)
    return means.transpose(1, 2), -0.5 * means.square().sum(dim=-1)[:, None]


def cosine(support: Tensor) -> Linear:
    """The class mean of largest cosine similarity."""
    means = F.normalize(support.double().mean(dim=2), dim=-1)
    return means.transpose(1, 2), means.new_zeros(len(means), 1, means.shape[1])


LINEAR: dict[str, Callable[[Tensor], Linear]] = {
    "logistic": logistic,
    "prototype": prototype,
    "cosine": cosine,
    "svm": svm,
}


def classify(name: str, support: Tensor, query: Tensor) -> Tensor:
    """`[E, Q]` classes of queries, by their place among the episode's.

    Args:
        name: of `LINEAR`, or `nearest` for the class of the most similar labelled item.
        support: `[E, N, K, D]` unit vectors.
        query: `[E, Q, D]` unit vectors.
    """
    if name == "nearest":
        alike = torch.einsum("eqd,enkd->eqnk", query, support)
        return alike.amax(dim=-1).argmax(dim=-1)
    weight, bias = LINEAR[name](support)
    return (query.double() @ weight + bias).argmax(dim=-1)


def _fit(x: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> Linear:
    """Minimise `|W|^2 / 2 + C loss(x W + b)` of every episode by L-BFGS.

    The solution lies in the span of the labelled items (representer theorem): W is sought in their coordinates along
    the right singular vectors, at most N K numbers a class instead of D.
    """
    episodes, ways, shots, _ = x.shape
    left, size, right = torch.linalg.svd(x.flatten(1, 2), full_matrices=False)  # right [E, r, D]
    z = left * size[:, None]  # [E, N K, r]
    side = torch.eye(ways, dtype=x.dtype).repeat_interleave(shots, dim=0).expand(episodes, -1, -1)
    inner = torch.zeros(episodes, z.shape[2], ways, dtype=x.dtype, requires_grad=True)
    bias = torch.zeros(episodes, 1, ways, dtype=x.dtype, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [inner, bias],
        max_iter=1000,
        tolerance_grad=1e-7,
        tolerance_change=1e-14,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = 0.5 * inner.square().sum() + C * loss(z @ inner + bias, side)
        value.backward()
        return value

    optimiser.step(closure)
    return right.transpose(1, 2) @ inner.detach(), bias.detach()
