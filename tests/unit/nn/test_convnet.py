import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.errors import ConfigError
from ssl_platform.masking.random import random_masks
from ssl_platform.nn.backbones import build
from ssl_platform.nn.sparse import SparseBatchNorm
from ssl_platform.types import Channel, Layout, Mask, View

AXES = {1: "C T", 2: "C H W", 3: "C D H W"}


def convnet(rank, patch=None, channels=2):
    torch.manual_seed(0)
    names = tuple(f"c{i}" for i in range(channels))
    layout = Layout(AXES[rank], tuple(Channel(n) for n in names))
    return build("convnet-tiny", layout, names, (16,) * rank, patch or (8,) * rank, width=8)


def view(rank, side=16, batch=3, channels=2):
    x = torch.randn(batch, channels, *(side,) * rank, generator=torch.Generator().manual_seed(1))
    return View(x, draws=Draws.at(0, torch.arange(batch)))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("train", [True, False])
def test_masked_cells_leak_nowhere_and_stay_zero(rank, train):
    net, v = convnet(rank).train(train), view(rank)
    visible, masked = random_masks(net.tokenize(v), 0.5, v.random)
    hidden = masked.to((16,) * rank).view(3, 1, *(16,) * rank)
    other = v.replace(x=torch.where(hidden, 7.0, v.x))
    a, b = net(v, visible), net(other, visible)
    assert [stride for _, stride in a.pyramid] == [2, 4, 8]
    for (map_a, stride), (map_b, _) in zip(a.pyramid, b.pyramid, strict=True):
        assert torch.equal(map_a, map_b)
        gone = masked.to((16 // stride,) * rank).view(3, 1, *(16 // stride,) * rank)
        assert (map_a * gone == 0).all() and map_a.abs().sum() > 0
    assert torch.equal(a.pooled, b.pooled) and a.tokens.shape[1] == visible.index.shape[1]
    dense = net(v).pyramid[0][0], net(other).pyramid[0][0]
    assert not torch.equal(*dense), "control: the dense net sees masked cells"


@pytest.mark.parametrize("train", [True, False])
def test_everything_visible_is_the_dense_net(train):
    v = view(2)
    everything = Mask(torch.arange(4).expand(3, -1), 4)
    net = convnet(2).double().train(train)
    v = v.replace(x=v.x.double())
    a, b = net(v), net(v, everything)
    for (x, _), (y, _) in zip(a.pyramid, b.pyramid, strict=True):
        torch.testing.assert_close(x, y, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(a.pooled, b.pooled, atol=1e-9, rtol=1e-9)


def test_statistics_are_those_of_the_active_vectors():
    norm, x = SparseBatchNorm(4).double(), torch.randn(2, 4, 6, 6).double()
    active = torch.rand(2, 1, 6, 6) > 0.5
    rows = x.permute(0, 2, 3, 1)[active[:, 0]]  # [n, C]
    y = norm(x, active)
    expected = (rows - rows.mean(0)) / (rows.var(0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(y.permute(0, 2, 3, 1)[active[:, 0]], expected)
    torch.testing.assert_close(norm.running_mean, 0.1 * rows.mean(0))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * rows.var(0))
    assert (y * ~active == 0).all()


def test_interleaved_passes_do_not_mix():
    net, v = convnet(2).eval(), view(2)
    first, second = (Mask(torch.tensor([[i, i + 1]] * 3), 4) for i in (0, 2))
    alone = net(v, first).pooled
    net(v, second)
    assert torch.equal(net(v, first).pooled, alone)


def test_sparse_and_dense_share_their_weights_names():
    assert set(convnet(2).state_dict()) == set(convnet(3).state_dict())
    assert not any("mask" in name for name in convnet(2).state_dict())


def test_strides_of_thick_slices():
    net = convnet(3, patch=(2, 8, 8))
    out = net(View(torch.randn(1, 2, 4, 16, 16)))
    assert [m.shape[2:] for m, _ in out.pyramid] == [(4, 8, 8), (4, 4, 4), (2, 2, 2)]


def test_invalid_cells_change_nothing():
    net, v = convnet(2).eval(), view(2)
    valid = torch.ones(3, 16, 16, dtype=torch.bool)
    valid[0, 5:], valid[1] = False, False
    a = net(v.replace(valid=valid))
    b = net(v.replace(valid=valid, x=torch.where(valid[:, None], v.x, torch.nan)))
    assert torch.equal(a.pooled, b.pooled) and (a.pooled[1] == 0).all()


def test_several_masks_share_a_view():
    net, v = convnet(2).eval(), view(2)
    index = torch.tensor([[[0, 1], [2, 3]]]).expand(3, -1, -1)
    both = net(v, Mask(index, 4))
    torch.testing.assert_close(both.tokens[1::2], net(v, Mask(index[:, 1], 4)).tokens)


def test_patch_must_be_a_power_of_two():
    with pytest.raises(ConfigError, match="powers of two"):
        convnet(2, patch=(6, 8))
