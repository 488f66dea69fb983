"""Cross-entropy where some labels are unknown."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ssl_platform.losses import masked_cross_entropy


def test_unknown_labels_count_nowhere() -> None:
    logits = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, -1, 3, -1, 2])
    loss = masked_cross_entropy(logits, labels)
    loss.backward()
    known = labels >= 0
    torch.testing.assert_close(loss, F.cross_entropy(logits[known], labels[known]))
    assert logits.grad is not None and torch.equal(logits.grad[~known], torch.zeros(2, 4, dtype=torch.float64))


def test_no_known_label_is_zero() -> None:
    logits = torch.randn(5, 4, requires_grad=True)
    loss = masked_cross_entropy(logits, torch.full((5,), -1))
    loss.backward()
    assert loss == 0
    assert torch.equal(logits.grad, torch.zeros(5, 4))  # type: ignore[arg-type]


def test_dense_labels_and_smoothing() -> None:
    logits, labels = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5))
    expected = F.cross_entropy(logits, labels, label_smoothing=0.1)
    torch.testing.assert_close(masked_cross_entropy(logits, labels, smoothing=0.1), expected)
