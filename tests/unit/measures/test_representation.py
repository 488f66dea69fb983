"""Rank, spread, alignment, uniformity, entropy: closed forms and limits."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from ssl_platform.measures import alignment, dimension_std, effective_rank, entropy, uniformity


def test_rank_of_known_spectra() -> None:
    assert effective_rank(torch.ones(20, 6)).item() == pytest.approx(1, abs=1e-4)
    assert effective_rank(torch.zeros(20, 6)).item() == pytest.approx(1, abs=1e-4)
    assert effective_rank(torch.eye(8)).item() == pytest.approx(8, abs=1e-4)
    two = torch.zeros(10, 5)
    two[:5, 0] = two[5:, 1] = 1
    assert effective_rank(two).item() == pytest.approx(2, abs=1e-4)


def test_rank_ignores_scale_and_rotation_and_centres_on_request() -> None:
    z = torch.randn(100, 8)
    rotation = torch.linalg.qr(torch.randn(8, 8)).Q
    torch.testing.assert_close(effective_rank(z), effective_rank(5 * z @ rotation))
    assert effective_rank(z + 100) < 1.5
    torch.testing.assert_close(effective_rank(z + 10, centre=True), effective_rank(z, centre=True), rtol=1e-3, atol=0)


def test_std_of_isotropic_and_of_collapsed_embeddings() -> None:
    z = torch.randn(4000, 16)
    assert dimension_std(z).mean().item() == pytest.approx(16**-0.5, rel=0.03)
    torch.testing.assert_close(dimension_std(z, unit=False), z.std(dim=0, correction=0))
    assert torch.equal(dimension_std(torch.ones(10, 4)), torch.zeros(4))


def test_alignment_and_uniformity() -> None:
    a, b = torch.randn(2, 50, 8)
    assert alignment(a, 3 * a).item() == pytest.approx(0, abs=1e-6)
    assert alignment(a, -a).item() == pytest.approx(4, abs=1e-5)
    distance = (F.normalize(a, dim=1) - F.normalize(b, dim=1)).norm(dim=1)
    torch.testing.assert_close(alignment(a, b, power=1), distance.mean())
    pairs = torch.pdist(F.normalize(a, dim=1)).square()
    torch.testing.assert_close(uniformity(a), (-2 * pairs).exp().mean().log(), rtol=1e-4, atol=1e-5)
    assert uniformity(torch.ones(10, 4)).item() == pytest.approx(0, abs=1e-5)
    assert uniformity(a) < uniformity(a + 2)


def test_entropy_limits() -> None:
    assert entropy(torch.full((3, 10), 0.1)).tolist() == pytest.approx([math.log(10)] * 3, abs=1e-5)
    assert torch.equal(entropy(torch.eye(4)), torch.zeros(4))


def test_half_input_and_no_gradient() -> None:
    z = torch.randn(16, 4, dtype=torch.bfloat16, requires_grad=True)
    for value in (effective_rank(z), dimension_std(z), alignment(z, z), uniformity(z), entropy(z.softmax(dim=1))):
        assert value.dtype is torch.float32 and not value.requires_grad
