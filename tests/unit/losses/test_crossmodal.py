"""CLIP's loss: card 144."""

from __future__ import annotations

import math

import pytest
import torch

from ssl_platform.losses import clip_loss


@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0])
def test_orthonormal_equal_pairs(scale: float) -> None:
    u = torch.eye(8, dtype=torch.float64)
    expected = math.log(1 + 7 * math.exp(-scale))
    assert clip_loss(u, 2 * u, scale).item() == pytest.approx(expected, abs=1e-7)


def test_equal_embeddings_give_log_of_the_batch() -> None:
    u = torch.ones(5, 4)
    assert clip_loss(u, u, 20.0).item() == pytest.approx(math.log(5), abs=1e-5)


def test_towers_may_be_swapped() -> None:
    a, b = torch.randn(2, 6, 4)
    torch.testing.assert_close(clip_loss(a, b, 1.0), clip_loss(b, a, 1.0))


def test_scale_is_learnt_below_its_cap_and_never_exceeds_it() -> None:
    a, b = torch.randn(2, 6, 4, dtype=torch.float64)
    log_scale = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: clip_loss(a, b, s.exp()), (log_scale,))
    torch.testing.assert_close(clip_loss(a, b, 100.0), clip_loss(a, b, 5000.0))
