"""Pytorchvideo's nets as backbones."""

import pytest
import torch

from ssl_platform.errors import ConfigError
from ssl_platform.testing.toy import toy_layout
from ssl_platform.types import View
from ssl_platform_video.backbones import NAMES, pytorchvideo_backbone
from ssl_platform_video.domain import Video

pytest.importorskip("pytorchvideo")
RGB = ("red", "green", "blue")
THIN = {
    "x3d_xs": {"depth_factor": 1.0},
    "slow_r50": {"stem_dim_out": 8},
    "csn_r50": {"stem_dim_out": 8},
    "slowfast_r50": {"stem_dim_outs": (16, 2)},
    "mvit_base_16x4": {"depth": 4, "patch_embed_dim": 16, "embed_dim_mul": [[1, 2.0]], "atten_head_mul": [[1, 2.0]],
                       "pool_q_stride_size": [[1, 1, 2, 2]]},
}  # fmt: skip


def make(name, size=(8, 32, 32), channels=RGB, **settings):
    return pytorchvideo_backbone(Video.layout, channels, size, (2, 16, 16), model=name, **settings)


@pytest.mark.parametrize("name", THIN)
def test_every_family_gives_maps_and_gradients(name):
    torch.manual_seed(0)
    net = make(name, **THIN[name])
    found = net(View(x=torch.randn(3, 3, 8, 32, 32), channels=RGB))
    assert found.pooled.shape == (3, net.embed_dim) and found.tokens is not None and found.grid is not None
    last, _ = found.pyramid[-1]
    assert last.shape[1] == net.embed_dim and tuple(last.shape[2:]) == found.grid
    strides = [stride for _, stride in found.pyramid]
    assert strides == sorted(strides) and len(strides) > 1
    found.pooled.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_any_number_of_channels():
    net = make("x3d_xs", channels=("flow-x", "flow-y"), **THIN["x3d_xs"])
    assert net(View(x=torch.randn(2, 2, 4, 32, 32))).pooled.isfinite().all()


def test_invalid_frames_change_nothing():
    torch.manual_seed(0)
    net = make("slow_r50", **THIN["slow_r50"]).eval()
    x, valid = torch.randn(1, 3, 8, 32, 32), torch.ones(1, 8, 32, 32, dtype=torch.bool)
    valid[:, 6:] = False
    other = x.clone()
    other[:, :, 6:] = 100.0
    a, b = (net(View(x=v, valid=valid, channels=RGB)).pooled for v in (x, other))
    torch.testing.assert_close(a, b)


def test_what_does_not_fit_is_one_line():
    with pytest.raises(ConfigError, match=r"no backbone pytorchvideo:x3d.*did you mean"):
        make("x3d")
    with pytest.raises(ConfigError, match=r"takes clips \(C T H W\)"):
        pytorchvideo_backbone(toy_layout(3), RGB, (8, 32, 32), (2, 16, 16), model="x3d_s")
    with pytest.raises(ConfigError, match=r"cannot build x3d_s with \{'nothing': 1\}"):
        make("x3d_s", nothing=1)
    slowfast = make("slowfast_r50", **THIN["slowfast_r50"])
    with pytest.raises(ConfigError, match="a multiple of 4 frames, not 6"):
        slowfast(View(x=torch.zeros(1, 3, 6, 32, 32), channels=RGB))
    mvit = make("mvit_base_16x4", **THIN["mvit_base_16x4"])
    with pytest.raises(ConfigError, match=r"made for clips of \(8, 32, 32\)"):
        mvit(View(x=torch.zeros(1, 3, 8, 48, 48), channels=RGB))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_name_builds_at_full_width(name):
    size = (32, 64, 64) if name == "mvit_base_32x3" else (16, 64, 64)
    net = make(name, size)
    with torch.no_grad():
        assert net(View(x=torch.zeros(2, 3, *size), channels=RGB)).pooled.shape[1] == net.embed_dim
