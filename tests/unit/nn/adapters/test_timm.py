import pytest
import torch

from ssl_platform.errors import ConfigError
from ssl_platform.nn.backbones import build
from ssl_platform.nn.norm import GlobalBatchNorm
from ssl_platform.types import Channel, Layout, View

pytest.importorskip("timm")
NAMES = tuple(f"b{i}" for i in range(5))
LAYOUT = Layout("C H W", tuple(Channel(n) for n in NAMES))


@pytest.mark.parametrize(
    ("name", "strides", "dim"),
    [
        ("timm:resnet10t", [2, 4, 8, 16, 32], 512),
        ("timm:test_vit", [16], 64),
        ("timm:swin_s3_tiny_224", [4, 8, 16, 32], 768),
    ],
)
def test_pyramid_of_any_number_of_channels(name, strides, dim):
    torch.manual_seed(0)
    settings = {"window_size": 2} if "swin" in name else {}
    net = build(name, LAYOUT, NAMES, (64, 64), (16, 16), **settings).eval()
    out = net(View(torch.randn(2, 5, 64, 64)))
    assert [s for _, s in out.pyramid] == strides and out.pooled.shape == (2, dim) == (2, net.embed_dim)
    for feature_map, stride in out.pyramid:
        assert feature_map.shape[2:] == (64 // stride, 64 // stride)
    assert out.tokens.shape[1] == out.coords.shape[1] == (64 // strides[-1]) ** 2


def test_pooling_leaves_invalid_places_out():
    net = build("timm:resnet10t", LAYOUT, NAMES, (64, 64), (16, 16)).eval()
    x, valid = torch.randn(2, 5, 64, 64), torch.ones(2, 64, 64, dtype=torch.bool)
    valid[:, :, 32:] = False
    a = net(View(x, valid=valid))
    b = net(View(torch.where(valid[:, None], x, torch.nan), valid=valid))
    assert torch.equal(a.pooled, b.pooled) and a.valid.sum() == 4
    torch.testing.assert_close(a.pooled, a.tokens.view(2, 2, 2, -1)[:, :, 0].mean(1))


def test_batch_norms_are_global():
    net = build("timm:resnet18", LAYOUT, NAMES, (64, 64), (16, 16))
    assert any(isinstance(m, GlobalBatchNorm) for m in net.modules())
    assert not any(type(m) is torch.nn.BatchNorm2d for m in net.modules())


def test_unknown_model():
    with pytest.raises(ConfigError, match="did you mean"):
        build("timm:resnet5o", LAYOUT, NAMES, (64, 64), (16, 16))
