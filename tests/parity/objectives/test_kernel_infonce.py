"""Card 215. Its probe of the augmentation graph and the spectral control loss are no part of the objective."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from ssl_platform.losses import kernel_info_nce, nt_xent
from ssl_platform.testing.objectives import small


def pairs(count: int = 5, width: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    a, b = torch.randn(2, count, width, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return a.requires_grad_(), b.requires_grad_()


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 3.0])
def test_written_out_with_loops(gamma: float) -> None:
    a, b = pairs()
    z = F.normalize(torch.cat((a, b)), dim=1).detach()
    total = 0.0
    for i in range(10):
        kernel = [math.exp(-(float((z[i] - z[j]).norm()) ** gamma) / 0.4) for j in range(10)]
        total -= math.log(kernel[(i + 5) % 10] / sum(k for j, k in enumerate(kernel) if j != i))
    loss = kernel_info_nce(a, b, 0.4, gamma)
    assert float(loss) == pytest.approx(total / 10, abs=1e-9)
    assert all(g.isfinite().all() for g in torch.autograd.grad(loss, (a, b)))


def test_gaussian_is_nt_xent_at_half_the_temperature() -> None:
    a, b = pairs()
    torch.testing.assert_close(kernel_info_nce(a, b, 0.2, 2.0), nt_xent(a, b, 0.1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_equal_embeddings_give_its_no_learning_value_and_a_finite_gradient(gamma: float) -> None:
    z = torch.ones(4, 8, requires_grad=True)
    loss = kernel_info_nce(z, z, 0.1, gamma)
    assert float(loss) == pytest.approx(math.log(2 * 4 - 1), abs=1e-4)
    assert torch.autograd.grad(loss, z)[0].isfinite().all()
    a, b = (x.detach().float().requires_grad_() for x in pairs())
    coincident = torch.cat((a[:1], b[1:]))  # one pair is the same vector
    gradient = torch.autograd.grad(kernel_info_nce(a, coincident, 0.1, gamma), (a, b))
    assert all(g.isfinite().all() and g.abs().max() < 1e3 for g in gradient)


def test_a_mixtures_ends_are_the_single_kernels_and_halves_are_disjoint() -> None:
    a, b = pairs(width=6)
    contrast = lambda **settings: small("kernel-infonce", **settings).contrast(a, b, None)  # noqa: E731
    heavy, gaussian = kernel_info_nce(a, b, 0.1, 0.5), kernel_info_nce(a, b, 0.1, 2.0)
    torch.testing.assert_close(contrast(gamma=0.5, mixture="none"), heavy)
    torch.testing.assert_close(contrast(gamma=0.5, mixture="sum", share=1.0), heavy)
    torch.testing.assert_close(contrast(gamma=0.5, mixture="sum", share=0.0), gaussian)
    torch.testing.assert_close(contrast(gamma=0.5, mixture="sum", share=0.3), 0.3 * heavy + 0.7 * gaussian)
    for share, kept in ((1.0, slice(0, 3)), (0.0, slice(3, 6))):
        loss = contrast(gamma=0.5, mixture="concatenation", share=share)
        single = kernel_info_nce(a[:, kept], b[:, kept], 0.1, 0.5 if share else 2.0)
        torch.testing.assert_close(loss, single)
        gradient = torch.autograd.grad(loss, a)[0]
        reached = gradient.abs().sum(0) > 0
        assert reached[kept].all() and int(reached.sum()) == 3


def test_minimising_the_gaussian_kernel_finds_the_low_eigenspace_of_the_planted_graph() -> None:
    """Twelve free embeddings in three clusters; pairs are drawn within a cluster."""
    generator = torch.Generator().manual_seed(0)
    cluster = torch.arange(12) // 4
    adjacency = (cluster[:, None] == cluster).double()
    laplacian = torch.eye(12, dtype=torch.float64) - adjacency / adjacency.sum(1, keepdim=True)
    low = torch.linalg.eigh(laplacian).eigenvectors[:, :3]
    z = torch.randn(12, 2, generator=generator, dtype=torch.float64).requires_grad_()

    def overlap() -> float:
        span = torch.cat((F.normalize(z.detach(), dim=1), torch.ones(12, 1, dtype=torch.float64)), dim=1)
        return float((low.T @ torch.linalg.qr(span).Q).square().sum()) / 3

    assert overlap() < 0.8
    optimiser = torch.optim.Adam([z], lr=0.2)
    for step in range(60):
        sibling = 4 * cluster + (torch.arange(12) + step) % 4
        optimiser.zero_grad()
        kernel_info_nce(z, z[sibling], 1.0, 2.0).backward()
        optimiser.step()
    assert overlap() > 0.95
