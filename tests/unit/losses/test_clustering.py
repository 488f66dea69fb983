"""Soft cross-entropy and SwAV's swapped prediction (card 216)."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from ssl_platform.losses import soft_cross_entropy, swapped_prediction
from ssl_platform.nn.clustering import sinkhorn


def test_uniform_scores_give_log_k() -> None:
    scores = [torch.full((4, 30), 0.2) for _ in range(5)]
    codes = [torch.randn(4, 30).softmax(dim=1) for _ in range(2)]
    assert swapped_prediction(scores, codes, 0.1).item() == pytest.approx(math.log(30), abs=1e-5)


def test_two_crops_are_the_symmetric_formula() -> None:
    s1, s2 = torch.randn(2, 6, 9, dtype=torch.float64)
    q1, q2 = sinkhorn(s1), sinkhorn(s2)
    p1, p2 = (s1 / 0.1).log_softmax(dim=1), (s2 / 0.1).log_softmax(dim=1)
    expected = -0.5 * ((q1 * p2).sum(dim=1).mean() + (q2 * p1).sum(dim=1).mean())
    torch.testing.assert_close(swapped_prediction([s1, s2], [q1, q2], 0.1), expected)


def test_local_crops_predict_and_are_not_predicted() -> None:
    s = [torch.randn(6, 9, dtype=torch.float64) for _ in range(4)]
    q = [sinkhorn(s[0]), sinkhorn(s[1])]
    losses = [
        [-(q[a] * (s[v] / 0.1).log_softmax(dim=1)).sum(dim=1).mean() for v in range(4) if v != a] for a in range(2)
    ]
    expected = sum(sum(row) / 3 for row in losses) / 2
    torch.testing.assert_close(swapped_prediction(s, q, 0.1), expected)


def test_no_gradient_through_the_codes() -> None:
    scores = [torch.randn(6, 9, requires_grad=True) for _ in range(2)]
    codes = [torch.rand(6, 9, requires_grad=True) for _ in range(2)]
    swapped_prediction(scores, codes, 0.1).backward()
    assert all(s.grad is not None for s in scores)
    assert all(q.grad is None for q in codes)


def test_soft_targets_of_one_class_are_the_hard_loss() -> None:
    logits, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    loss = soft_cross_entropy(logits, F.one_hot(labels).float(), temperature=0.5)
    torch.testing.assert_close(loss, F.cross_entropy(logits / 0.5, labels))


def test_uniform_logits_give_log_k_over_valid_tokens() -> None:
    logits, target = torch.zeros(2, 3, 7), torch.randn(2, 3, 7).softmax(dim=-1)
    assert soft_cross_entropy(logits, target).item() == pytest.approx(math.log(7), abs=1e-5)
    logits[1] = torch.nan
    valid = torch.tensor([[True] * 3, [False] * 3])
    assert soft_cross_entropy(logits, target, valid=valid).item() == pytest.approx(math.log(7), abs=1e-5)


def test_half_precision_keeps_large_logits_finite() -> None:
    logits = torch.tensor([[6e4, -6e4]], dtype=torch.float16)
    loss = soft_cross_entropy(logits, torch.tensor([[0.0, 1.0]]), temperature=0.04)
    assert loss.dtype is torch.float32
    assert torch.isfinite(loss)
