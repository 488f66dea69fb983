"""CKA: invariances, the published closed form, an unbiased estimate by plain loops, and blocks against the whole."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from ssl_platform.measures import MinibatchCKA, linear_cka, unbiased_cka


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(96, 12, generator=generator, dtype=torch.float64)
    mixed = x @ torch.randn(12, 7, generator=generator, dtype=torch.float64)
    return x, mixed + 2 * torch.randn(96, 7, generator=generator, dtype=torch.float64) + 3


@pytest.mark.parametrize("cka", [linear_cka, unbiased_cka])
def test_rotations_shifts_and_scales_change_nothing(cka, pair) -> None:  # type: ignore[no-untyped-def]
    x, y = pair
    turn = torch.linalg.qr(torch.randn(12, 12, dtype=torch.float64))[0]
    assert cka(x, 3.0 * x @ turn + 5).item() == pytest.approx(1.0)
    assert cka(x @ turn, y).item() == pytest.approx(cka(x, y).item())
    assert cka(y, x).item() == pytest.approx(cka(x, y).item())


def test_linear_cka_is_that_of_centred_gram_matrices(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = (f.numpy() for f in pair)
    centre = np.eye(len(x)) - 1 / len(x)
    k, m = centre @ x @ x.T @ centre, centre @ y @ y.T @ centre
    expected = (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())
    assert linear_cka(*pair).item() == pytest.approx(expected)


def test_unbiased_hsic_is_the_mean_over_distinct_items() -> None:
    """HSIC as a U-statistic: the mean of (k_ij m_ij + k_ij m_uv - 2 k_ij m_iu) over distinct i, j, u, v."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))

    def hsic(k: np.ndarray, m: np.ndarray) -> float:
        terms = [
            k[i, j] * m[i, j] + k[i, j] * m[u, v] - 2 * k[i, j] * m[i, u]
            for i, j, u, v in itertools.permutations(range(7), 4)
        ]
        return float(np.mean(terms))

    k, m = x @ x.T, y @ y.T
    expected = hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))
    assert unbiased_cka(torch.from_numpy(x), torch.from_numpy(y)).item() == pytest.approx(expected)


def test_independent_features_are_unlike_without_bias() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(60, 120, generator=generator) for _ in range(2))
    assert linear_cka(x, y) > 0.5, "few items in many dimensions look alike to the biased estimate"
    assert abs(unbiased_cka(x, y)) < 0.1
    many = [torch.randn(4000, 8, generator=generator) for _ in range(2)]
    assert linear_cka(*many) < 0.1


def test_minibatches_agree_with_the_whole_and_not_on_how_rows_arrive() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(640, 16, generator=generator)
    y = x @ torch.randn(16, 10, generator=generator) + 2 * torch.randn(640, 10, generator=generator)
    found = []
    for cuts in ([640], [1] * 640, [100, 7, 300, 233]):
        cka = MinibatchCKA(2, 1, block=64)
        for a, b in zip(x.split(cuts), y.split(cuts), strict=True):
            cka.add([a, b], [b])
        found.append(cka.value())
        assert cka.items == 640
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    assert found[0][1, 0].item() == pytest.approx(1.0)
    assert abs(found[0][0, 0] - linear_cka(x, y)) < 0.02


def test_a_constant_layer_is_like_nothing() -> None:
    assert MinibatchCKA(1, 1).add([torch.ones(9, 3)], [torch.randn(9, 3)]).value().isnan().all()
    with pytest.raises(ValueError, match="at least 4"):
        MinibatchCKA(1, 1, block=3)
