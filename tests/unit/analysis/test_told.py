"""What a change tells, and what is linear in the output before it, on made outputs."""

from __future__ import annotations

import math

import torch

from ssl_platform.analysis.equivariance import linear
from ssl_platform.analysis.invariance import told


def test_told() -> None:
    generator = torch.Generator().manual_seed(0)
    params = torch.rand(40, 3, 2, generator=generator)
    mix = torch.randn(2, 12, generator=generator)
    noise = torch.randn(40, 3, 12, generator=generator)
    assert told(params @ mix, params) > 0.99
    assert 0.2 < told(params @ mix + 0.5 * noise, params) < 0.95
    assert told(noise, params) < 0.1, "left out items, so noise tells nothing"
    assert math.isnan(told(noise, torch.ones(40, 3, 2))), "nothing was drawn"
    assert math.isnan(told(noise[:5], params[:5]))


def test_linear() -> None:
    generator = torch.Generator().manual_seed(0)
    before = torch.randn(80, 10, generator=generator)
    turn = torch.linalg.qr(torch.randn(10, 10, generator=generator))[0]
    assert linear(before, before @ turn + 3) > 0.99
    assert linear(before, torch.randn(80, 10, generator=generator)) < 0.05
    assert math.isnan(linear(before, torch.ones(80, 10)))
