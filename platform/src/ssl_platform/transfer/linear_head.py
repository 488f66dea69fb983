"""The head of every task but segmentation: one linear layer on standardised pooled features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_platform.types import Features


class LinearHead(nn.Module):
    """Standardised pooled features to numbers.

    Pooled features of all items share most of their length. What tells items apart is small beside it, and a linear
    layer on raw features needs thousands of steps to see it. Means and deviations are taken once, from the first batch
    or with a fitted probe, and stay (a batch normalisation without its noise; He et al., 2022, put one before their
    linear probe).

    Args:
        dim: D of the pooled features.
        outputs: numbers K.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))
        self.linear = nn.Linear(dim, outputs)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)
        self.ready = False

    @torch.no_grad()
    def start_at(self, weight: Tensor, bias: Tensor, mean: Tensor, std: Tensor) -> None:
        """Start at a fitted probe: `weight [D, K]`, `bias [K]`, `mean [D]` and `std [D]` of its features."""
        self.linear.weight.copy_(weight.T)
        self.linear.bias.copy_(bias)
        self.mean.copy_(mean)
        self.std.copy_(std)
        self.ready = True

    @torch.no_grad()
    def standardise(self, features: Features) -> None:
        """Take means and deviations from a batch of at least two; no deviation is under a tenth of their mean."""
        pooled = features.pooled.float()
        if len(pooled) > 1:
            std = pooled.std(0)
            self.mean.copy_(pooled.mean(0))
            self.std.copy_(std.clamp_min(0.1 * std.mean()).clamp_min(1e-6))

    def forward(self, features: Features) -> Tensor:
        """`[B, K]`."""
        found: Tensor = self.linear((features.pooled - self.mean) / self.std)
        return found
