import json

import pytest
import torch

from ssl_platform.builtin import ssl_platform_backbones
from ssl_platform.errors import ConfigError, EncoderError
from ssl_platform.nn.backbones import accepted, build, factory_of, rebuild
from ssl_platform.nn.spec import BackboneSpec
from ssl_platform.types import Channel, Layout, View

LAYOUT = Layout(
    "C D H W", (Channel("ct", "HU", bounds=(-1000.0, 1000.0)),), "mm", symmetries=frozenset({"flip:W", "noise"})
)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("vit-pico", {"depth": 1, "registers": 2, "pitch": (3.0, 3.0, 3.0)}),
        ("convnet-tiny", {"width": 8}),
        ("slices:vit-pico", {"depth": 1, "every": 2}),
    ],
)
def test_a_backbone_is_built_again_from_its_record(name, settings):
    torch.manual_seed(0)
    net = build(name, LAYOUT, ("ct",), (8, 8, 8), (4, 4, 4), **settings).eval()
    record = json.loads(json.dumps(net.spec.as_dict()))
    torch.manual_seed(1)
    again = rebuild(BackboneSpec.from_dict(record)).eval()
    assert again.spec.layout == LAYOUT
    again.load_state_dict(net.state_dict())
    view = View(torch.randn(2, 1, 12, 8, 8))
    assert torch.equal(net(view).pooled, again(view).pooled), "also on another grid than it was built for"


def test_unknown_names_and_settings_suggest_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'vit-small'"):
        build("vit-smal", LAYOUT, ("ct",), (8, 8, 8), (4, 4, 4))
    with pytest.raises(ConfigError, match=r"no setting 'regsters'.*did you mean 'registers'"):
        build("vit-pico", LAYOUT, ("ct",), (8, 8, 8), (4, 4, 4), regsters=3)
    with pytest.raises(ConfigError, match=r"timm:resnet18 takes images.*slices:timm:resnet18"):
        build("timm:resnet18", LAYOUT, ("ct",), (8, 8, 8), (4, 4, 4))
    with pytest.raises(ConfigError, match="needs an axis T"):
        build("frames:vit-pico", LAYOUT, ("ct",), (8, 8, 8), (4, 4, 4))


def test_incomplete_record():
    with pytest.raises(EncoderError, match="patch"):
        record = build("vit-pico", LAYOUT, ("ct",), (8, 8, 8), (4, 4, 4), depth=1).spec.as_dict()
        del record["patch"]
        BackboneSpec.from_dict(record)


@pytest.mark.parametrize("declared", [d for d in ssl_platform_backbones() if d.prefix is None], ids=lambda d: d.name)
def test_what_is_declared_is_what_is_built(declared):
    assert {setting.name for setting in declared.settings} - {"patch"} == accepted(factory_of(declared.name))
    with torch.device("meta"):
        net = build(declared.name, LAYOUT, ("ct",), (16, 16, 16), (8, 8, 8))
    assert set(declared.offers) == net.offers
