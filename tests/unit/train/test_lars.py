"""LARS against its algorithm written out number by number."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ssl_platform.train.lars import LARS


def test_against_the_algorithm() -> None:
    rng = np.random.default_rng(0)
    w, b = rng.normal(size=(4, 3)), rng.normal(size=4)
    p, q = nn.Parameter(torch.tensor(w)), nn.Parameter(torch.tensor(b))
    groups = [{"params": [p]}, {"params": [q], "adapt": False, "weight_decay": 0.0}]
    optimizer = LARS(groups, lr=0.3, momentum=0.9, weight_decay=0.01, eta=0.02)
    velocity_w, velocity_b = np.zeros_like(w), np.zeros_like(b)
    for _ in range(5):
        gw, gb = rng.normal(size=w.shape), rng.normal(size=b.shape)
        p.grad, q.grad = torch.tensor(gw), torch.tensor(gb)
        optimizer.step()
        trust = 0.02 * np.linalg.norm(w) / (np.linalg.norm(gw) + 0.01 * np.linalg.norm(w))
        velocity_w = 0.9 * velocity_w + trust * (gw + 0.01 * w)
        velocity_b = 0.9 * velocity_b + gb
        w, b = w - 0.3 * velocity_w, b - 0.3 * velocity_b
    np.testing.assert_allclose(p.detach().numpy(), w, rtol=1e-12)
    np.testing.assert_allclose(q.detach().numpy(), b, rtol=1e-12)


def test_a_zero_tensor_can_leave_zero() -> None:
    p = nn.Parameter(torch.zeros(3))
    p.grad = torch.ones(3)
    LARS([p], lr=0.5, eta=1e-3).step()
    assert torch.equal(p.detach(), torch.full((3,), -0.5))
