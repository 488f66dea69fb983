"""The head of fine-tuning: features are standardised by its first batch, or it starts at a probe."""

from __future__ import annotations

import numpy as np
import torch

from ssl_platform.transfer.linear_head import LinearHead
from ssl_platform.transfer.protocols.linear import fit_linear
from ssl_platform.transfer.protocols.splits import Labelled
from ssl_platform.transfer.task import Task
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


def test_a_head_that_starts_at_a_probe_says_what_the_probe_says() -> None:
    torch.manual_seed(0)
    bank = Labelled(5 + torch.randn(40, 8), torch.arange(40) % 3, [], [str(i) for i in range(40)])
    probe = fit_linear(bank, Task("classification", ("a", "b", "c")), 0.1)
    head = LinearHead(8, 3)
    head.start_at(probe.weight, probe.bias, probe.mean, probe.std)
    found = head(features(bank.features)).softmax(dim=1).detach().numpy()
    np.testing.assert_allclose(found, probe(bank.features), atol=1e-5)
    assert head.ready
