"""A map of embeddings in two dimensions: principal components, refined so that neighbours stay neighbours.

The refinement is exact t-SNE (van der Maaten, Hinton: Visualizing Data using t-SNE, JMLR 2008) started from the
principal components (Kobak, Berens: The art of using t-SNE, Nature Communications 2019), so distances between far
groups keep some meaning and nothing is random: the same embeddings give the same map.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

SMALL = 12
"""Fewer items than this stay at their principal components."""
PERPLEXITY = 30.0
STEPS = 300
EXAGGERATION = 12.0
EXAGGERATED_STEPS = 100


def project(z: Tensor) -> tuple[Tensor, Literal["pca", "tsne"]]:
    """Places of embeddings on a map.

    Args:
        z: `[n, D]` finite embeddings.

    Returns:
        `[n, 2]` float32 in `[0, 1]` with one scale for both axes, and how they were found.
    """
    with _one_thread():
        unit = torch.nn.functional.normalize(z.detach().float().cpu(), dim=1)
        start = principal(unit)
        if len(unit) < SMALL or float(start.std()) < 1e-6:
            return _framed(start), "pca"
        return _framed(_refined(unit, start)), "tsne"


def principal(x: Tensor) -> Tensor:
    """`[n, 2]` principal components of `[n, D]`; signs are fixed so that each axis' largest loading is positive."""
    if len(x) < 2:
        return torch.zeros(len(x), 2)
    centred = (x - x.mean(dim=0)).double()
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    directions = directions[:2]
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    scores = centred @ (directions * torch.where(largest < 0, -1.0, 1.0)).T
    return torch.nn.functional.pad(scores, (0, 2 - scores.shape[1])).float()


def affinities(x: Tensor, perplexity: float) -> Tensor:
    """`[n, n]` symmetric neighbour probabilities that sum to one, each row's entropy being `ln perplexity`."""
    distance = torch.cdist(x, x).square()
    distance.fill_diagonal_(math.inf)
    low, high = torch.zeros(len(x), 1), torch.full((len(x), 1), math.inf)
    beta = 1.0 / distance.masked_fill(distance.isinf(), 0.0).mean(dim=1, keepdim=True).clamp_min(1e-12)
    nearest = distance.min(dim=1, keepdim=True).values
    probability = distance
    for _ in range(60):
        probability = torch.exp(-(distance - nearest) * beta)
        probability = probability / probability.sum(dim=1, keepdim=True)
        entropy = torch.special.entr(probability).sum(dim=1, keepdim=True)
        wide = entropy > math.log(perplexity)
        low, high = torch.where(wide, beta, low), torch.where(wide, high, beta)
        beta = torch.where(high.isinf(), beta * 2, (low + high.nan_to_num(posinf=0.0)) / 2)
    joint = (probability + probability.T) / (2 * len(x))
    return joint.clamp_min(1e-12)


def _refined(x: Tensor, start: Tensor) -> Tensor:
    p = affinities(x, min(PERPLEXITY, (len(x) - 1) / 3))
    y = start / start.std(dim=0).max() * 1e-4
    velocity, gain = torch.zeros_like(y), torch.ones_like(y)
    rate = max(50.0, len(x) / EXAGGERATION)
    closeness, pull = torch.empty_like(p), torch.empty_like(p)
    ones = torch.ones(len(x), 1)
    for step in range(STEPS):
        early = step < EXAGGERATED_STEPS
        square = y.square().sum(dim=1, keepdim=True)
        # 1 / (1 + distance^2) of all pairs, in place: these n x n passes are all the time there is.
        torch.addmm(square + 1, y, y.T, alpha=-2, out=closeness).add_(square.T).clamp_min_(1.0).reciprocal_()
        closeness.fill_diagonal_(0.0)
        torch.mul(closeness, -1 / float(closeness.sum()), out=pull)
        pull.add_(p, alpha=EXAGGERATION if early else 1.0).mul_(closeness)
        summed = pull @ torch.cat([y, ones], dim=1)
        gradient = 4 * (summed[:, 2:] * y - summed[:, :2])
        # Jacobs' gains, as in the paper's own code: an axis that keeps its direction goes faster.
        gain = torch.where(gradient * velocity < 0, gain + 0.2, gain * 0.8).clamp_min(0.01)
        velocity = (0.5 if early else 0.8) * velocity - rate * gain * gradient
        y = y + velocity
        y = y - y.mean(dim=0)
    return y


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order whatever the machine; threads gain little here and lose much on a busy one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _framed(y: Tensor) -> Tensor:
    """Into the unit square, both axes by one factor, centred."""
    if not len(y):
        return y
    low, high = y.min(dim=0).values, y.max(dim=0).values
    span = float((high - low).max())
    return ((y - (low + high) / 2) / span + 0.5) if span > 0 else torch.full_like(y, 0.5)
