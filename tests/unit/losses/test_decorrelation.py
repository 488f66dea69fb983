"""VICReg: card 003."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ssl_platform.losses import covariance, invariance, variance, vicreg, vicreg_terms


def white(count: int, dim: int) -> Tensor:
    """Rows whose empirical covariance (unbiased) is the identity."""
    z = torch.randn(count, dim, dtype=torch.float64)
    z = z - z.mean(dim=0)
    return torch.linalg.qr(z).Q * (count - 1) ** 0.5


def test_constant_embeddings() -> None:
    z = torch.full((16, 8), 0.3)
    terms = vicreg_terms(z, z)
    assert vicreg(z, z).item() == pytest.approx(24.75, abs=1e-5)
    assert terms.invariance == 0
    assert terms.covariance == pytest.approx(0, abs=1e-12)


def test_equal_white_views_cost_nothing() -> None:
    z = white(64, 8)
    assert vicreg(z, z).item() == pytest.approx(0, abs=1e-5)


def test_total_is_the_weighted_sum_of_terms() -> None:
    a, b = torch.randn(2, 12, 6, dtype=torch.float64)
    terms = vicreg_terms(a, b, gamma=2.0)
    torch.testing.assert_close(
        vicreg(a, b, sim=3.0, var=5.0, cov=7.0, gamma=2.0),
        3 * terms.invariance + 5 * terms.variance + 7 * terms.covariance,
    )
    torch.testing.assert_close(terms.invariance, invariance(a, b))
    torch.testing.assert_close(terms.variance, (variance(a, gamma=2.0) + variance(b, gamma=2.0)) / 2)
    torch.testing.assert_close(terms.covariance, covariance(a) + covariance(b))


def test_a_dimension_spread_beyond_gamma_has_no_variance_gradient() -> None:
    z = (torch.randn(32, 3) * torch.tensor([0.1, 3.0, 5.0])).requires_grad_()
    variance(z).backward()
    assert z.grad is not None
    assert z.grad[:, 0].abs().sum() > 0
    assert torch.equal(z.grad[:, 1:], torch.zeros(32, 2))


def test_a_constant_dimension_has_a_finite_gradient() -> None:
    z = torch.zeros(8, 4, requires_grad=True)
    vicreg(z, z.detach()).backward()
    assert z.grad is not None and torch.isfinite(z.grad).all()


@pytest.mark.parametrize(("count", "dim"), [(20, 5), (5, 20)])
def test_covariance_by_either_product_equals_the_definition(count: int, dim: int) -> None:
    z = torch.randn(count, dim, dtype=torch.float64, requires_grad=True)
    matrix = torch.cov(z.T)
    expected = (matrix - torch.diag(matrix.diagonal())).square().sum() / dim
    torch.testing.assert_close(covariance(z), expected)
    assert torch.autograd.gradcheck(covariance, (z,))


def test_a_batch_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 samples"):
        variance(torch.randn(1, 4))


def test_variance_term_keeps_an_embedding_from_collapsing() -> None:
    """Card 003: without it the standard deviation falls below 0.1 within 200 steps, with it it does not."""
    x = torch.randn(64, 8)
    spread = {}
    for weight in (0.0, 25.0):
        torch.manual_seed(1)
        layer = torch.nn.Linear(8, 8)
        optimiser = torch.optim.SGD(layer.parameters(), lr=0.02)
        for _ in range(200):
            views = [layer(x + 0.5 * torch.randn_like(x)) for _ in range(2)]
            optimiser.zero_grad()
            vicreg(views[0], views[1], var=weight).backward()
            optimiser.step()
        spread[weight] = layer(x).std(dim=0).mean().item()
    assert spread[0.0] < 0.1 < 0.5 < spread[25.0]
