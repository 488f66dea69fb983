"""Statistics count valid cells only."""

import torch

from ssl_platform.views.statistics import mean_std, value_range


def test_plain_and_masked_agree_with_torch():
    x = torch.randn(3, 2, 9, 7, 8) * 4 + 10
    mean, std = mean_std(x, None)
    torch.testing.assert_close(mean, x.flatten(2).mean(2))
    torch.testing.assert_close(std, x.flatten(2).std(2, correction=0))
    valid = torch.rand(3, 9, 7, 8) < 0.5
    mean, std = mean_std(x, valid)
    low, high = value_range(x, valid)
    for b in range(3):
        for c in range(2):
            values = x[b, c][valid[b]]
            torch.testing.assert_close(mean[b, c], values.mean())
            torch.testing.assert_close(std[b, c], values.std(correction=0))
            assert low[b, c] == values.min() and high[b, c] == values.max()


def test_large_grids_are_estimated_from_a_subset():
    x = torch.randn(1, 1, 64, 64, 64) + 5
    mean, std = mean_std(x, None)
    assert abs(mean.item() - 5) < 0.1 and abs(std.item() - 1) < 0.06


def test_nothing_valid_is_zero():
    x, nothing = torch.randn(2, 1, 8), torch.zeros(2, 8, dtype=torch.bool)
    assert all(value.eq(0).all() for value in (*mean_std(x, nothing), *value_range(x, nothing)))


def test_point_sets_have_channels_last():
    x = torch.randn(2, 50, 3)
    torch.testing.assert_close(mean_std(x, None, points=True)[0], x.mean(1))
    assert value_range(x, None, points=True)[1].equal(x.amax(1))
