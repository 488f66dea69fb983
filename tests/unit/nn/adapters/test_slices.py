import pytest
import torch

from ssl_platform.nn.backbones import build
from ssl_platform.types import Channel, Layout, View


def slices(axes="C D H W", name="slices:vit-pico", patch=(1, 4, 4), **settings):
    torch.manual_seed(0)
    layout = Layout(axes, (Channel("a"), Channel("b")))
    return build(name, layout, ("a", "b"), (6, 8, 8), patch, **{"depth": 1, **settings}).eval()


def test_pooling_is_the_mean_over_slices():
    net, x = slices(), torch.randn(2, 2, 6, 8, 8)
    each = torch.stack([net.net(View(x[:, :, d])).pooled for d in range(6)], dim=1)
    out = net(View(x))
    torch.testing.assert_close(out.pooled, each.mean(1), atol=1e-5, rtol=1e-5)
    assert out.grid == (6, 2, 2) and out.tokens.shape == (2, 24, 128) and out.pyramid[0][0].shape == (2, 128, 6, 2, 2)
    torch.testing.assert_close(out.pyramid[0][0].flatten(2).transpose(1, 2), out.tokens)
    torch.testing.assert_close(out.coords[0, 4], torch.tensor([1.5 / 6, 0.25, 0.25]))


def test_the_time_axis_may_stand_anywhere():
    net, x = slices("C H T W", "frames:vit-pico", (4, 1, 4)), torch.randn(2, 2, 8, 6, 8)
    out = net(View(x))
    assert out.grid == (2, 6, 2) and out.pyramid[0][0].shape[2:] == (2, 6, 2)
    torch.testing.assert_close(out.pyramid[0][0].flatten(2).transpose(1, 2), out.tokens)
    one = net.net(View(x[:, :, :, 3]))
    torch.testing.assert_close(out.tokens.view(2, 2, 6, 2, 128)[:, :, 3].reshape(2, 4, 128), one.tokens)


def test_empty_slices_do_not_count():
    net, x = slices(), torch.randn(2, 2, 6, 8, 8)
    valid = torch.ones(2, 6, 8, 8, dtype=torch.bool)
    valid[:, 4:] = False
    a = net(View(x, valid=valid))
    b = net(View(torch.where(valid[:, None], x, torch.nan), valid=valid))
    assert torch.equal(a.pooled, b.pooled)
    torch.testing.assert_close(a.pooled, net(View(x[:, :, :4])).pooled, atol=1e-5, rtol=1e-5)
    assert a.valid.sum() == 2 * 16


@pytest.mark.parametrize(("every", "count"), [(1, 6), (2, 3), (4, 1)])
def test_every_nth_slice(every, count):
    assert slices(every=every)(View(torch.randn(1, 2, 6, 8, 8))).grid[0] == count


def test_statistics_are_kept_once():
    net = slices()
    assert [k for k in net.state_dict() if "mean" in k] == ["normaliser.mean"]
    net.normaliser.set(torch.ones(2), torch.ones(2))
    torch.testing.assert_close(
        net.net.normaliser(net.normalise(View(torch.ones(1, 2, 6, 8, 8)))), torch.zeros(1, 2, 6, 8, 8)
    )
