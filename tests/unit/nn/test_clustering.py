"""Sinkhorn (cards 216, 041, B10) and spherical k-means (card B07)."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F

from ssl_platform.errors import ConfigError
from ssl_platform.nn.clustering import initial_centroids, nearest, sinkhorn, spherical_kmeans


def cosines(rows: int, prototypes: int) -> torch.Tensor:
    z, c = F.normalize(torch.randn(rows, 16), dim=1), F.normalize(torch.randn(prototypes, 16), dim=1)
    return (z @ c.T).double()


def test_converged_codes_are_balanced() -> None:
    codes = sinkhorn(cosines(60, 12), eps=0.05, iterations=300)
    torch.testing.assert_close(codes.sum(dim=1), torch.ones(60, dtype=torch.float64))
    torch.testing.assert_close(codes.sum(dim=0), torch.full((12,), 5.0, dtype=torch.float64), rtol=0, atol=1e-4)


def test_three_iterations_of_the_published_form() -> None:
    scores = cosines(20, 6)
    q = (scores / 0.05).exp().T
    q = q / q.sum()
    for _ in range(3):
        q = q / q.sum(dim=1, keepdim=True) / 6
        q = q / q.sum(dim=0, keepdim=True) / 20
    torch.testing.assert_close(sinkhorn(scores, 0.05, 3), (q * 20).T)


def test_a_constant_added_to_a_prototype_changes_nothing_at_convergence() -> None:
    scores = cosines(40, 8)
    shifted = scores + torch.linspace(-0.2, 0.2, 8)
    torch.testing.assert_close(sinkhorn(scores, 0.05, 500), sinkhorn(shifted, 0.05, 500), rtol=0, atol=1e-6)


def test_small_eps_approaches_a_hard_balanced_assignment() -> None:
    # Every row prefers prototype 0; balance forces the half that prefers it least to the other.
    scores = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.8], [1.0, 0.9]], dtype=torch.float64)
    codes = sinkhorn(scores, eps=0.01, iterations=500)
    hard = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(codes, hard, atol=1e-2, rtol=0)


def test_equal_scores_give_the_uniform_plan_and_permutations_commute() -> None:
    torch.testing.assert_close(sinkhorn(torch.ones(6, 4)), torch.full((6, 4), 0.25))
    scores, order = cosines(10, 5), torch.randperm(10)
    torch.testing.assert_close(sinkhorn(scores)[order], sinkhorn(scores[order]))


def test_large_half_precision_logits_stay_finite() -> None:
    logits = (torch.randn(16, 32) * 20).half()
    codes = sinkhorn(logits, eps=0.04)
    assert codes.dtype is torch.float32 and torch.isfinite(codes).all()
    torch.testing.assert_close(codes.sum(dim=1), torch.ones(16))


def test_positions_are_balanced_each_on_its_own() -> None:
    """Card 041: per position, mass per prototype over the batch is uniform within 5 % after 3 iterations."""
    scores = torch.randn(512, 3, 4) * 0.05 + torch.randn(3, 4)
    codes = sinkhorn(scores, 0.06, 3, per_position=True)
    for position in range(3):
        torch.testing.assert_close(codes[:, position], sinkhorn(scores[:, position], 0.06, 3))
    assert ((codes.sum(dim=0) / (512 / 4)) - 1).abs().max() < 0.05
    together = sinkhorn(scores, 0.06, 3)
    torch.testing.assert_close(together, sinkhorn(scores.flatten(0, 1), 0.06, 3).view(512, 3, 4))
    assert ((together.sum(dim=0) / (512 / 4)) - 1).abs().max() > 0.5


def test_a_queue_takes_part_without_getting_codes() -> None:
    scores, queue = cosines(6, 4), cosines(10, 4)
    codes = sinkhorn(scores, replicated=queue)
    torch.testing.assert_close(codes, sinkhorn(torch.cat((scores, queue)))[:6])


def test_invalid_rows_change_nothing() -> None:
    scores = cosines(8, 4)
    valid = torch.tensor([True] * 5 + [False] * 3)
    codes = sinkhorn(scores, valid=valid)
    torch.testing.assert_close(codes[:5], sinkhorn(scores[:5]))
    assert torch.equal(codes[5:], torch.zeros(3, 4, dtype=torch.float64))
    assert torch.equal(sinkhorn(scores, valid=torch.zeros(8, dtype=torch.bool)), torch.zeros(8, 4, dtype=torch.float64))


def test_codes_carry_no_gradient_and_iterations_are_checked() -> None:
    assert not sinkhorn(torch.randn(4, 3, requires_grad=True)).requires_grad
    with pytest.raises(ValueError, match="at least 1"):
        sinkhorn(torch.randn(4, 3), iterations=0)


def test_kmeans_objective_never_falls() -> None:
    points = F.normalize(torch.randn(200, 8, dtype=torch.float64), dim=1)
    start = initial_centroids(points, 12, seed=3)
    objective = [
        nearest(points, spherical_kmeans(points, start, iterations))[1].sum().item() for iterations in range(12)
    ]
    assert all(b >= a - 1e-9 for a, b in itertools.pairwise(objective))
    assert objective[-1] > objective[0]


def test_kmeans_finds_planted_clusters() -> None:
    centres = torch.eye(5)
    points = centres.repeat_interleave(40, dim=0) + 0.05 * torch.randn(200, 5)
    start = points[::40]
    found = spherical_kmeans(points, start, 10)
    labels, cosine = nearest(F.normalize(points, dim=1), found)
    assert torch.equal(labels, torch.arange(5).repeat_interleave(40))
    torch.testing.assert_close(found, centres, atol=0.05, rtol=0)
    assert cosine.min() > 0.9


def test_an_empty_cluster_keeps_its_centroid() -> None:
    points = torch.tensor([[1.0, 0.0], [0.9, 0.1]])
    start = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert torch.equal(spherical_kmeans(points, start, 5)[1], start[1])


def test_chunks_change_nothing() -> None:
    points, start = torch.randn(50, 6, dtype=torch.float64), torch.randn(4, 6, dtype=torch.float64)
    torch.testing.assert_close(spherical_kmeans(points, start, 5, chunk=7), spherical_kmeans(points, start, 5))


def test_initial_centroids_are_different_rows_and_repeat() -> None:
    points = torch.randn(30, 4)
    first = initial_centroids(points, 30, seed=1)
    assert torch.equal(first, initial_centroids(points, 30, seed=1))
    assert len(first.unique(dim=0)) == 30
    with pytest.raises(ConfigError, match="31 clusters of 30 items"):
        initial_centroids(points, 31, seed=1)
