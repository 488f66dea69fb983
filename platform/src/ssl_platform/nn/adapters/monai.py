"""Backbones of MONAI: `monai:SwinUNETR` and `monai:UNet` (their encoders), `monai:resnet10` to `monai:resnet200`.

Weights are never downloaded here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from ssl_platform.errors import ConfigError, did_you_mean
from ssl_platform.nn.adapters.maps import MapBackbone
from ssl_platform.nn.backbone import Normaliser
from ssl_platform.nn.norm import globalise
from ssl_platform.types import Layout

RESNETS = tuple(f"resnet{depth}" for depth in (10, 18, 34, 50, 101, 152, 200))
NAMES = ("SwinUNETR", "UNet", "ResNet", *RESNETS)


class StagedBackbone(MapBackbone):
    """A net run stage by stage, each stage giving a map.

    Args:
        normaliser: first layer.
        stages: modules in order.
        embed_dim: channels of the last map.
    """

    def __init__(self, normaliser: nn.Module, stages: Sequence[nn.Module], embed_dim: int) -> None:
        super().__init__()
        self.normaliser, self.embed_dim = normaliser, embed_dim
        self.stages = nn.ModuleList([globalise(stage) for stage in stages])

    def maps(self, x: Tensor) -> list[Tensor]:
        """`[B, D_i, *grid_i]` maps, fine to coarse."""
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


class SwinBackbone(MapBackbone):
    """The encoder of SwinUNETR (Hatamizadeh et al., 2022): a shifted-window transformer with five maps.

    Args:
        normaliser: first layer.
        net: `monai.networks.nets.swin_unetr.SwinTransformer`.
        embed_dim: channels of the last map.
    """

    def __init__(self, normaliser: nn.Module, net: nn.Module, embed_dim: int) -> None:
        super().__init__()
        self.normaliser, self.net, self.embed_dim = normaliser, net, embed_dim

    def maps(self, x: Tensor) -> list[Tensor]:
        """`[B, D_i, *grid_i]` maps at strides 2, 4, 8, 16 and 32."""
        return list(self.net(x))


def monai_backbone(
    layout: Layout, channels: Sequence[str], size: Sequence[int], patch: Sequence[int], *, model: str, **settings: Any
) -> MapBackbone:
    """Build the encoder of a MONAI net without pretrained weights.

    Args:
        layout: of the input, rank 2 or 3 (`resnet*` and `UNet` also rank 1).
        channels: channel names, any number.
        size: cells of a view (any size works).
        patch: unused, the net has its own stride.
        model: one of `NAMES`; `ResNet` is `resnet18`.
        **settings: `feature_size`, `depths`, `num_heads`, `window_size`... of SwinUNETR; `features` of UNet;
            keywords of `monai.networks.nets.ResNet`.

    Raises:
        ConfigError: MONAI is not installed, the name is none of these, or the net does not take such input.
    """
    make = _MAKERS.get("resnet" if model == "ResNet" or model in RESNETS else model)
    if make is None:
        raise ConfigError(f"no backbone monai:{model}; there are {', '.join(NAMES)}{did_you_mean(model, NAMES)}")
    if layout.points or (model == "SwinUNETR" and layout.rank not in (2, 3)):
        raise ConfigError(f"monai:{model} takes images and volumes, not {layout.axes!r}")
    try:
        return make(model, layout.rank, channels, settings)
    except ImportError as error:
        raise ConfigError(
            f"backbone monai:{model} needs monai and einops: pip install monai einops ({error})"
        ) from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"monai cannot build {model} with {settings}: {error}") from error


def _resnet(model: str, rank: int, channels: Sequence[str], settings: dict[str, Any]) -> MapBackbone:
    nets = importlib.import_module("monai.networks.nets.resnet")
    name = "resnet18" if model == "ResNet" else model
    # Stride 2 as in MedicalNet (Chen et al., 2019) and in two dimensions; MONAI's own default of 1 costs eightfold.
    made = {
        "conv1_t_stride": 2,
        **settings,
        "spatial_dims": rank,
        "n_input_channels": len(channels),
        "feed_forward": False,
    }
    net = getattr(nets, name)(pretrained=False, progress=False, **made)
    first = [net.conv1, net.bn1, net.act]
    second = [net.layer1] if net.no_max_pool else [net.maxpool, net.layer1]
    stages = [nn.Sequential(*first), nn.Sequential(*second), net.layer2, net.layer3, net.layer4]
    return StagedBackbone(Normaliser(channels), stages, net.in_planes)


def _swin(model: str, rank: int, channels: Sequence[str], settings: dict[str, Any]) -> MapBackbone:
    del model
    importlib.import_module("einops")  # which MONAI only misses in the first forward pass
    nets = importlib.import_module("monai.networks.nets.swin_unetr")
    feature_size = int(settings.pop("feature_size", 24))
    depths = tuple(settings.pop("depths", (2, 2, 2, 2)))
    net = nets.SwinTransformer(
        in_chans=len(channels),
        embed_dim=feature_size,
        window_size=_sides(settings.pop("window_size", 7), rank),
        patch_size=(2,) * rank,
        depths=depths,
        num_heads=tuple(settings.pop("num_heads", (3, 6, 12, 24))),
        spatial_dims=rank,
        **settings,
    )
    return SwinBackbone(Normaliser(channels), net, feature_size * 2 ** len(depths))


def _unet(model: str, rank: int, channels: Sequence[str], settings: dict[str, Any]) -> MapBackbone:
    del model
    nets = importlib.import_module("monai.networks.nets.basic_unet")
    features = tuple(settings.pop("features", (32, 32, 64, 128, 256, 32)))
    net = nets.BasicUNet(spatial_dims=rank, in_channels=len(channels), features=features, **settings)
    stages = [net.conv_0, net.down_1, net.down_2, net.down_3, net.down_4]
    return StagedBackbone(Normaliser(channels), stages, features[4])


_MAKERS: dict[str, Callable[[str, int, Sequence[str], dict[str, Any]], MapBackbone]] = {
    "resnet": _resnet,
    "SwinUNETR": _swin,
    "UNet": _unet,
}


def _sides(value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)
