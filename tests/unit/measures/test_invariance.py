"""Scores of invariance at their limits, and what may not change them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssl_platform.measures import concordance, firing_invariance, token_similarity


def test_concordance_is_lins_coefficient_and_knows_its_limits() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(200, 1, generator=generator, dtype=torch.float64)
    b = 0.7 * a + 0.4 * torch.randn(200, 1, generator=generator, dtype=torch.float64) + 0.2
    x, y = a[:, 0].numpy(), b[:, 0].numpy()
    lin = 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert concordance(a, b).item() == pytest.approx(lin)
    assert concordance(a, a) == 1
    assert concordance(a, 2 * a.mean(0) - a).item() == pytest.approx(-1.0)
    many = torch.randn(2, 4000, 16, generator=generator)
    assert abs(concordance(*many)) < 0.03
    assert concordance(7 * many[0], 7 * many[1]).item() == pytest.approx(concordance(*many).item(), abs=1e-5)


def test_units_that_know_the_class_reach_the_maximum() -> None:
    """Two classes, 25 noisy copies of each one's indicator."""
    generator = torch.Generator().manual_seed(0)
    classes = torch.arange(40) % 2
    indicator = torch.nn.functional.one_hot(classes, 2).float()[:, None].repeat_interleave(25, -1)
    features = indicator + 0.01 * torch.randn(40, 5, 50, generator=generator)
    assert firing_invariance(features, classes).tolist() == pytest.approx([1.0, 1.0])


def test_features_that_know_nothing_of_the_sets_have_the_chance_value() -> None:
    generator = torch.Generator().manual_seed(0)
    rate, looks = 0.1, 4
    features = torch.randn(6000, looks, 3, generator=generator)
    found = firing_invariance(features, rate=rate, top=[3])
    assert found.item() == pytest.approx(rate / (1 - (1 - rate) ** looks), rel=0.02)


def test_scaling_and_signs_of_units_change_nothing_and_shuffled_sets_lower_the_score() -> None:
    generator = torch.Generator().manual_seed(0)
    item = torch.randn(120, 1, 30, generator=generator)
    features = item + 0.1 * torch.randn(120, 4, 30, generator=generator)
    found = firing_invariance(features, rate=0.1)
    scale = torch.where(torch.arange(30) % 2 == 0, 3.0, -0.25)
    assert torch.allclose(firing_invariance(features * scale, rate=0.1), found)
    shuffled = features.reshape(480, 30)[torch.randperm(480, generator=generator)].view(120, 4, 30)
    assert found[0] > 0.8 and firing_invariance(shuffled, rate=0.1)[0] < 0.4


def test_similarity_of_tokens() -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(3, 6, 5, generator=generator)
    valid = torch.rand(3, 6, generator=generator) < 0.7
    valid[2] = torch.arange(6) == 0
    found = token_similarity(tokens, valid)
    for i in range(2):
        own = torch.nn.functional.normalize(tokens[i, valid[i]], dim=1)
        cosines = (own @ own.T)[~torch.eye(len(own), dtype=torch.bool)]
        assert found[i].item() == pytest.approx(cosines.mean().item(), abs=1e-5)
    assert found[2].isnan()
    assert token_similarity(torch.ones(1, 4, 2)).item() == pytest.approx(1.0)
