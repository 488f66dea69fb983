"""Weights of one axis: exactness, partition of unity, anti-aliasing, blur."""

import pytest
import torch
import torch.nn.functional as F

from ssl_platform.views.interpolation import apply_axes, blur, full_precision, gaussian_weights, linear_weights


def one(value):
    return torch.tensor([float(value)])


def test_whole_cells_at_scale_one_are_ones_and_zeros():
    weights = linear_weights(one(5 + 3), one(6), 6, 20)[0]
    expected = torch.zeros(6, 20)
    expected[torch.arange(6), torch.arange(5, 11)] = 1
    assert weights.equal(expected)
    assert linear_weights(one(8), one(-6), 6, 20)[0].equal(expected.flip(0))


@pytest.mark.parametrize(("size", "length"), [(12, 8), (8, 8), (31, 10)])
def test_enlarging_is_torch_interpolate(size, length):
    x = torch.randn(length)
    mine = linear_weights(one(length / 2), one(length), size, length)[0] @ x
    theirs = F.interpolate(x[None, None], size=size, mode="linear", align_corners=False)[0, 0]
    torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)


def test_shrinking_does_not_alias():
    wave = torch.cos(torch.pi * torch.arange(64.0))  # the highest frequency of the source
    shrunk = linear_weights(one(32), one(64), 16, 64)[0] @ wave
    assert shrunk[1:-1].abs().max() < 1e-4
    x = torch.randn(8, 64)
    theirs = F.interpolate(x[None, None], (8, 16), mode="bilinear", antialias=True, align_corners=False)[0, 0]
    mine = x @ linear_weights(one(32), one(64), 16, 64)[0].T
    torch.testing.assert_close(mine[:, 1:-1], theirs[:, 1:-1], atol=1e-5, rtol=0)


def test_shrinking_moves_nothing():
    ramp = torch.arange(40.0) + 0.5
    for start, extent in ((3.3, 20.7), (0.0, 37.0), (9.1, 30.9)):
        weights = linear_weights(one(start + extent / 2), one(extent), 13, 40)[0]
        torch.testing.assert_close(weights @ ramp, start + extent * (torch.arange(13) + 0.5) / 13, atol=1e-4, rtol=0)


def test_rows_sum_to_one_inside():
    weights = linear_weights(torch.rand(50) * 4 + 6, torch.rand(50) * 8 + 2, 9, 16)
    torch.testing.assert_close(weights.sum(-1), torch.ones(50, 9))
    assert (weights >= 0).all()


def test_blur_spreads_as_told_and_not_at_all_at_zero():
    weights = gaussian_weights(torch.tensor([0.0, 2.0]), 41)
    assert weights[0].equal(torch.eye(41))
    offset = torch.arange(41.0) - 20
    assert ((weights[1, 20] * offset**2).sum() - 4).abs() < 1e-3


def test_blur_uses_valid_cells_only():
    x, valid = torch.randn(2, 3, 12, 10), torch.rand(2, 12, 10) < 0.7
    sigma = torch.tensor([[1.0, 0.7], [0.0, 2.0]])
    other = torch.where(valid[:, None], x, 1e6)
    keep = valid[:, None].expand_as(x)
    assert blur(x, valid, sigma)[keep].equal(blur(other, valid, sigma)[keep])
    ones = blur(torch.ones_like(x), valid, sigma)
    torch.testing.assert_close(ones, torch.ones_like(x))


def test_axes_are_applied_in_place():
    x, matrices = torch.randn(2, 3, 4, 5), [torch.randn(2, n + 1, n) for n in (3, 4, 5)]
    expected = torch.einsum("rdhw,rad,rbh,rcw->rabc", x, *matrices)
    torch.testing.assert_close(apply_axes(x, matrices), expected, atol=1e-4, rtol=1e-4)


def test_autocast_is_off_inside():
    a = torch.randn(4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16), full_precision(torch.device("cpu")):
        assert (a @ a).dtype == torch.float32
