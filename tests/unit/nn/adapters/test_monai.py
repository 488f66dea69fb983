import pytest
import torch

from ssl_platform.errors import ConfigError
from ssl_platform.nn.backbones import build
from ssl_platform.types import Channel, Layout, View

pytest.importorskip("monai")
NAMES = ("t1", "t2")
LAYOUT = Layout("C D H W", tuple(Channel(n) for n in NAMES))


@pytest.mark.parametrize(
    ("name", "settings", "strides", "dim"),
    [
        ("monai:SwinUNETR", {"feature_size": 12}, [2, 4, 8, 16, 32], 192),
        ("monai:resnet10", {"widen_factor": 0.25}, [2, 4, 8, 16, 32], 128),
        ("monai:UNet", {"features": (4, 4, 8, 8, 16, 4)}, [1, 2, 4, 8, 16], 16),
    ],
)
def test_pyramid_and_pooling_of_valid_places(name, settings, strides, dim):
    torch.manual_seed(0)
    net = build(name, LAYOUT, NAMES, (32, 32, 32), (8, 8, 8), **settings).eval()
    x, valid = torch.randn(2, 2, 32, 32, 32), torch.ones(2, 32, 32, 32, dtype=torch.bool)
    valid[0, :, 20:] = False
    with torch.no_grad():
        a = net(View(x, valid=valid))
        b = net(View(torch.where(valid[:, None], x, torch.nan), valid=valid))
    assert [s for _, s in a.pyramid] == strides and a.pooled.shape == (2, dim) == (2, net.embed_dim)
    assert torch.equal(a.pooled, b.pooled) and torch.isfinite(a.pooled).all()
    assert "downloaded" not in repr(net) and a.tokens.shape[1] == (32 // strides[-1]) ** 3


def test_two_dimensions_and_the_short_name():
    layout = Layout("C H W", LAYOUT.channels)
    net = build("monai:ResNet", layout, NAMES, (64, 64), (8, 8), widen_factor=0.125).eval()
    assert net(View(torch.randn(1, 2, 64, 64))).grid == (2, 2)


def test_unknown_net():
    with pytest.raises(ConfigError, match="did you mean 'SwinUNETR'"):
        build("monai:SwinUNTR", LAYOUT, NAMES, (32, 32, 32), (8, 8, 8))
