"""Objects among tokens: planted partitions are found exactly, whatever the features' scale and orientation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import eigh

from ssl_platform.measures import norm_outliers
from ssl_platform.measures.partition import edges, lost, second_eigenvector, token_cut


def planted(count: int = 64, size: int = 9, noise: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens of an object and of a background that are a little opposed, and which are the object's."""
    draw = torch.Generator().manual_seed(0)
    inside = torch.zeros(count, dtype=torch.bool)
    inside[20 : 20 + size] = True
    features = torch.where(inside[:, None], torch.eye(8)[0], torch.eye(8)[1] - 0.2 * torch.eye(8)[0]) * 3
    return features + noise * torch.randn(features.shape, generator=draw), inside


@pytest.mark.parametrize("cut", [lost, token_cut])
def test_a_planted_object_is_found(cut) -> None:
    features, inside = planted()
    found = cut(features)
    assert torch.equal(found.inside, inside) and inside[found.seed]
    turn = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))[0]
    for other in (7.0 * features, features @ turn):
        assert torch.equal(cut(other).inside, inside)


def test_tokens_turned_into_memory_hide_an_object_from_lost() -> None:
    """A few tokens of the background of ten times the norm, each in a direction of its own (Darcet et al., 2024)."""
    features, inside = planted()
    assert float(norm_outliers(features[None])) == 0 and torch.equal(lost(features).inside, inside)
    memory = torch.tensor([2, 11, 50])
    spoilt = torch.cat([features, torch.zeros(64, 3)], 1)
    spoilt[memory] = 0
    spoilt[memory, torch.arange(8, 11)] = 30.0
    assert float(norm_outliers(spoilt[None])) == pytest.approx(3 / 64)
    assert not (lost(spoilt).inside & inside).any(), "its seed is one of them"


def test_salience_is_constant_on_each_side_of_a_planted_cut() -> None:
    features, inside = planted()
    salience = token_cut(features).salience
    for side in (inside, ~inside):
        assert float(salience[side].std()) < 1e-9
    assert float(salience[inside].mean()) > 0 > float(salience[~inside].mean())


def test_the_second_eigenvector_is_scipy_s() -> None:
    features, _ = planted(784, 60, noise=0.9)
    weights = edges(features, 0.2, 1e-5)
    degree = torch.diag(weights.sum(1))
    values, vectors = eigh((degree - weights).numpy(), degree.numpy())
    found = second_eigenvector(weights)
    y = found.numpy()
    cosine = np.dot(y, vectors[:, 1]) / np.linalg.norm(y) / np.linalg.norm(vectors[:, 1])
    assert abs(cosine) == pytest.approx(1, abs=1e-8)
    residual = (degree - weights) @ found - values[1] * degree @ found
    assert float(residual.norm() / found.norm()) < 1e-6
    assert abs(float(found @ degree.sum(1))) < 1e-8  # D-orthogonal to the constant vector


def test_one_token_is_an_object() -> None:
    for cut in (lost, token_cut):
        assert cut(torch.ones(1, 4)).inside.tolist() == [True]
