"""Card 123. Its comparison of accuracies over ten classes is a row of the learning table."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from ssl_platform.losses import debiased_nt_xent, nt_xent


def pairs(count: int = 5, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    a, b = torch.randn(2, count, 4, generator=generator, dtype=dtype)
    return a.requires_grad_(), b.requires_grad_()


@pytest.mark.parametrize("tau_plus", [0.05, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("grouped", [False, True])
def test_written_out_with_loops(tau_plus: float, grouped: bool) -> None:
    a, b = pairs()
    group = torch.tensor([0, 1, 0, 2, 3]) if grouped else None
    z = F.normalize(torch.cat((a, b)), dim=1).detach()
    total, t = 0.0, 0.5
    for i in range(10):
        sibling = (i + 5) % 10
        others = [j for j in range(10) if j % 5 != i % 5 and (group is None or group[j % 5] != group[i % 5])]
        positive = math.exp(float(z[i] @ z[sibling]) / t)
        negative, n = sum(math.exp(float(z[i] @ z[j]) / t) for j in others), len(others)
        corrected = max((negative - tau_plus * n * positive) / (1 - tau_plus), n * math.exp(-1 / t))
        total -= math.log(positive / (positive + corrected))
    assert float(debiased_nt_xent(a, b, t, tau_plus, group)) == pytest.approx(total / 10, abs=1e-9)


def test_without_correction_it_is_nt_xent_in_value_and_gradient() -> None:
    inputs = pairs()
    mine, plain = debiased_nt_xent(*inputs, 0.5, 0.0), nt_xent(*inputs, 0.5)
    torch.testing.assert_close(mine, plain)
    for x, y in zip(torch.autograd.grad(mine, inputs), torch.autograd.grad(plain, inputs), strict=True):
        torch.testing.assert_close(x, y)


@pytest.mark.parametrize("tau_plus", [0.0, 0.1, 0.9])
def test_equal_similarities_give_the_logarithm_of_the_candidates_whatever_the_prior(tau_plus: float) -> None:
    z = torch.ones(6, 3)
    assert float(debiased_nt_xent(z, z, 0.5, tau_plus)) == pytest.approx(math.log(1 + 10), abs=1e-5)


def test_where_the_least_value_holds_negatives_get_no_gradient() -> None:
    """Equal siblings, all others opposite: the corrected sum would be negative."""
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64, requires_grad=True)
    b = a.detach().clone().requires_grad_()
    loss = debiased_nt_xent(a, b, 0.5, 0.5)
    assert float(loss) == pytest.approx(math.log(1 + 2 * math.exp(-2) / math.exp(2)))
    positive_only = (-(F.normalize(a, dim=1) * F.normalize(b, dim=1)).sum(1) / 0.5).mean()
    slope = 2 * math.exp(-4) / (1 + 2 * math.exp(-4))  # of the loss along minus the positive's logit
    for x, y in zip(torch.autograd.grad(loss, (a, b)), torch.autograd.grad(positive_only, (a, b)), strict=True):
        torch.testing.assert_close(x, slope * y)


@pytest.mark.parametrize("temperature", [0.01, 0.5])
def test_finite_for_every_prior_and_similarity(temperature: float) -> None:
    random = pairs(6, torch.float32)
    extreme = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    for tau_plus in (0.0, 0.1, 0.5, 0.9):
        for inputs in (random, (extreme, extreme), (extreme, -extreme)):
            loss = debiased_nt_xent(*inputs, temperature, tau_plus)
            assert loss.isfinite() and all(g.isfinite().all() for g in torch.autograd.grad(loss, inputs[:1]))
    alone = torch.zeros(6, dtype=torch.int64)
    assert float(debiased_nt_xent(*random, temperature, 0.1, alone)) == 0.0  # one group: no negatives are left
