"""Generic intensity operations: closed forms, limits, and what they leave alone."""

import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.types import Channel, Layout
from ssl_platform.views.intensity import GENERIC, Blur, ChannelDrop, CutOut, Gain, Gamma, Noise, Offset, generic
from ssl_platform.views.operation import Context

B, C = 64, 3
DRAWS = Draws.at(0, torch.arange(B))
NAMES = ("a", "b", "c")


def context(x, valid=None, channels=(), strength=1.0, channel_valid=None):
    layout = Layout("C H W", tuple(channels), symmetries=frozenset(o.name for o in GENERIC))
    return Context(layout, x, valid, channel_valid, torch.ones(len(x), 2), NAMES[: x.shape[1]], strength)


def values(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(B, C, 16, 12, generator=generator) * torch.tensor([1.0, 50.0, 0.1]).view(1, C, 1, 1) + 20


def test_gamma_keeps_the_range_and_the_order():
    x = values()
    y, params = Gamma().apply(x, context(x), DRAWS)
    torch.testing.assert_close(y.amin((2, 3)), x.amin((2, 3)), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(y.amax((2, 3)), x.amax((2, 3)), rtol=1e-4, atol=1e-3)
    assert y.flatten(2).gather(2, x.flatten(2).argsort(2)).diff(dim=2).min() >= -1e-4
    untouched = params["exponent"][:, 0] == 1
    assert 0.3 < untouched.float().mean() < 0.7
    torch.testing.assert_close(y[untouched], x[untouched], rtol=1e-5, atol=1e-4)
    b = int((~untouched).nonzero()[0])
    low, high = x[b, 1].min(), x[b, 1].max()
    expected = low + (high - low) * ((x[b, 1] - low) / (high - low)) ** params["exponent"][b]
    torch.testing.assert_close(y[b, 1], expected, rtol=1e-4, atol=1e-3)


def test_gain_turns_about_the_mean_or_about_zero():
    x = values()
    y, params = Gain().apply(x, context(x), DRAWS)
    torch.testing.assert_close(y.mean((2, 3)), x.mean((2, 3)), rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(y.std((2, 3)), x.std((2, 3)) * params["factor"], rtol=1e-3, atol=1e-4)
    physical = [Channel(n, bounds=(0.0, 1.0)) for n in NAMES]
    y, params = Gain().apply(x, context(x, channels=physical), DRAWS)
    torch.testing.assert_close(y, x * params["factor"][:, :, None, None])


def test_offset_shifts_by_the_channels_own_spread():
    x = values()
    y, params = Offset().apply(x, context(x), DRAWS)
    torch.testing.assert_close(y - x, params["shift"][:, :, None, None].expand_as(x), atol=1e-4, rtol=1e-4)
    relative = params["shift"] / x.std((2, 3))
    assert relative.abs().max() < 0.26 and relative[:, 1].abs().max() > 0.1


def test_noise_has_the_drawn_width():
    x = values()
    y, params = Noise(probability=1.0).apply(x, context(x), DRAWS)
    added = (y - x).std((2, 3))
    large = params["std"] > 0.01
    torch.testing.assert_close(added[large], params["std"][large], rtol=0.25, atol=1e-3)
    assert (params["std"] / x.std((2, 3))).max() < 0.11
    other, _ = Noise(probability=1.0).apply(x, context(x), DRAWS.child("x"))
    assert not y.equal(other)


def test_channel_drop_keeps_a_valid_channel():
    x = values()
    present = torch.ones(B, C, dtype=torch.bool)
    present[: B // 2, 0] = present[: B // 2, 1] = False
    y, params = ChannelDrop(probability=1.0, share=1.0).apply(x, context(x, channel_valid=present), DRAWS)
    dropped = params["dropped"].bool()
    assert not dropped[: B // 2, 2].any() and (dropped.sum(1) == C - 1).all()
    assert y[~dropped].equal(x[~dropped])
    assert y[dropped].flatten(1).std(1).max() < 1e-5
    torch.testing.assert_close(y[dropped].mean((1, 2)), x[dropped].mean((1, 2)), rtol=1e-4, atol=1e-3)
    one = x[:, :1]
    assert ChannelDrop(probability=1.0, share=1.0).apply(one, context(one), DRAWS)[0].equal(one)


def test_cut_out_is_the_box_it_says():
    x = values()
    y, params = CutOut(probability=0.5).apply(x, context(x), DRAWS)
    changed = (y != x).any(1)
    box = params["box"]
    for axis, n in ((0, 16), (1, 12)):
        along = changed.any(2 - axis)
        place = (torch.arange(n) + 0.5) / n
        inside = (place >= box[:, axis, None]) & (place < box[:, 2 + axis, None])
        drawn = (box[:, 2:] > box[:, :2]).all(1)
        assert along[drawn].equal(inside[drawn]) and not along[~drawn].any()
    assert 0.3 < (box[:, 2] > box[:, 0]).float().mean() < 0.7


def test_blur_is_equally_wide_in_physical_units_and_never_in_time():
    spacing = torch.tensor([[3.0, 1.0, 0.5]]).expand(B, 3)
    sigma = Blur().sigma(Layout("C D H W", symmetries=frozenset({"blur"})), spacing, 1.0, DRAWS)
    on = sigma[:, 2] > 0
    assert 0.3 < on.float().mean() < 0.7 and (sigma[~on] == 0).all()
    physical = sigma[on] * spacing[on]
    torch.testing.assert_close(physical, physical[:, :1].expand(-1, 3))
    assert sigma[on, 2].min() >= 0.3 and sigma[:, 2].max() <= 1.0
    video = Blur().sigma(Layout("C T H W", symmetries=frozenset({"blur"})), spacing, 1.0, DRAWS)
    assert (video[:, 0] == 0).all() and video[:, 2].max() > 0
    row = Blur().sigma(Layout("C H W", symmetries=frozenset({"blur:W"})), spacing[:, :2], 1.0, DRAWS)
    assert (row[:, 0] == 0).all() and row[:, 1].max() > 0


@pytest.mark.parametrize("operation", GENERIC, ids=lambda o: o.name)
def test_invalid_values_do_not_matter(operation):
    valid = torch.rand(B, 16, 12, generator=torch.Generator().manual_seed(1)) < 0.8
    x = values()
    keep = valid[:, None].expand_as(x)
    other = torch.where(valid[:, None], x, -1e4)
    y, params = operation.apply(x, context(x, valid), DRAWS)
    z, same = operation.apply(other, context(other, valid), DRAWS)
    assert y[keep].equal(z[keep])
    assert all(params[name].equal(same[name]) for name in params)


@pytest.mark.parametrize("operation", GENERIC, ids=lambda o: o.name)
def test_draws_do_not_depend_on_the_batch(operation):
    x = values()
    y, params = operation.apply(x, context(x), DRAWS)
    part = slice(10, 20)
    z, some = operation.apply(x[part], context(x[part]), DRAWS.select(part))
    assert y[part].equal(z) and all(params[name][part].equal(some[name]) for name in params)


def test_a_layout_gets_what_it_names():
    assert [o.name for o in generic(Layout("C H W", symmetries=frozenset({"noise", "gamma"})))] == ["gamma", "noise"]
    cloud = Layout("N C", symmetries=frozenset({"noise", "gain", "cutout"}))
    assert [o.name for o in generic(cloud)] == ["gain"]  # points are moved and dropped elsewhere
