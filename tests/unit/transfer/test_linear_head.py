"""The head of fine-tuning: features are standardised by its first batch."""

from __future__ import annotations

import torch

from ssl_platform.transfer.model import LinearHead
from ssl_platform.types import Features


def features(pooled: torch.Tensor) -> Features:
    return Features(pooled=pooled, prefix=pooled[:, None, :][:, :0])


def test_features_that_share_most_of_their_length_are_told_apart_within_a_hundred_steps() -> None:
    torch.manual_seed(0)
    label = torch.arange(32) % 2
    pooled = 5.0 + 0.02 * torch.randn(32, 16) + 0.02 * (2 * label[:, None] - 1) * torch.randn(16)
    head = LinearHead(16, 2)
    head.standardise(features(pooled))
    optimiser = torch.optim.AdamW(head.parameters(), lr=5e-4)
    for _ in range(100):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(head(features(pooled)), label).backward()
        optimiser.step()
    assert (head(features(pooled)).argmax(1) == label).float().mean() > 0.95


def test_one_item_is_no_measure_and_a_constant_feature_is_not_blown_up() -> None:
    head = LinearHead(4, 2)
    head.standardise(features(torch.ones(1, 4)))
    assert head.std.tolist() == [1.0] * 4 and head.mean.tolist() == [0.0] * 4
    pooled = torch.randn(64, 4)
    pooled[:, 0] = 3.0
    head.standardise(features(pooled))
    assert head.std[0] == 0.1 * pooled.std(0).mean()
