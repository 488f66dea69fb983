"""Backbones by name: built, run, and refused in one line."""

import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.encoder import build_backbone
from ssl_platform.errors import ConfigError
from ssl_platform.masking.random import random_masks
from ssl_platform.nn.spec import BackboneSpec
from ssl_platform.testing.sync import forbid_sync
from ssl_platform.types import Layout, View
from ssl_platform_multispectral.domain import Multispectral

CHANNELS = ("S2-B02", "S2-B04", "S2-B08", "S2-B11", "S1-VV")


def build(name, layout=Multispectral.layout, channels=CHANNELS, **settings):
    torch.manual_seed(0)
    return build_backbone(BackboneSpec(name, layout, channels, (32, 32), (8, 8), settings)).eval()


def view(count=5, **changes):
    x = torch.rand(2, count, 32, 32, generator=torch.Generator().manual_seed(0))
    return View(x, channels=CHANNELS[:count], **changes)


@pytest.mark.parametrize("name", ["spectral:pico", "dofa:pico"])
def test_vits_encode_masked_views_without_waiting(name):
    net = build(name)
    draws = Draws.at(0, torch.arange(2))
    net(view())
    with forbid_sync():
        tokens = net.tokenize(view())
        visible, hidden = random_masks(tokens, 0.75, draws)
        features = net.encode(tokens, visible)
        target = hidden.gather(net.targets(view()))
    assert features.pooled.shape == (2, net.embed_dim) and target.shape[-1] == net.tokenizer.target_dim
    assert torch.isfinite(features.pooled).all()


@pytest.mark.parametrize("name", ["spectral:pico", "dofa:pico", "vit-pico"])
def test_what_is_invalid_changes_no_feature(name):
    from dataclasses import replace

    net = build(name, replace(Multispectral.layout, ragged_channels=True))
    valid = torch.ones(2, 32, 32, dtype=torch.bool)
    valid[:, :16] = False
    kept = torch.tensor([[True] * 5, [True, True, False, False, True]])
    first = view(valid=valid, channel_valid=kept)
    x = torch.where(valid[:, None] & kept[:, :, None, None], first.x, torch.full_like(first.x, 7.0))
    assert torch.allclose(net(first).pooled, net(first.replace(x=x)).pooled, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["torchgeo:resnet18", "torchgeo:swin_t"])
def test_torchgeo_nets_take_any_bands(name):
    net = build(name)
    features = net(view())
    assert features.pooled.shape == (2, net.embed_dim) and len(features.pyramid) >= 4
    strides = [stride for _, stride in features.pyramid]
    assert strides == sorted(strides) and strides[-1] == 32


@pytest.mark.slow
def test_torchgeo_names_are_checked():
    with pytest.raises(ConfigError, match="did you mean 'resnet50'"):
        build("torchgeo:resnet51")
    with pytest.raises(ConfigError, match="gives no feature maps of bands chosen freely"):
        build("torchgeo:croma_base")


@pytest.mark.parametrize("name", ["spectral:pico", "dofa:pico"])
def test_other_input_and_sizes_are_refused(name):
    with pytest.raises(ConfigError, match="takes images, not 'C T'"):
        build(name, Layout(axes="C T"))
    with pytest.raises(ConfigError, match="no ViT size 'pica'"):
        build(name.replace("pico", "pica"))
    with pytest.raises(ConfigError, match="has no such setting"):
        build(name, nonsense=1)
