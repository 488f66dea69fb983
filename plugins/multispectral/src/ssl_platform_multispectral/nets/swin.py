"""Torchvision's Swin transformers, as torchgeo builds them, for any number of bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ssl_platform.nn.adapters.maps import MapBackbone
from ssl_platform.nn.backbone import Normaliser


class SwinBackbone(MapBackbone):
    """A Swin transformer as a feature pyramid of four maps.

    Args:
        normaliser: first layer.
        net: `torchvision.models.SwinTransformer`.
    """

    def __init__(self, normaliser: nn.Module, net: Any) -> None:
        super().__init__()
        self.normaliser, self.stages, self.norm = normaliser, net.features, net.norm
        self.embed_dim = int(net.norm.normalized_shape[0])

    def maps(self, x: Tensor) -> list[Tensor]:
        """`[B, D_i, *grid_i]` maps, fine to coarse: the output of every stage, the last one normalised."""
        found = []
        for number, stage in enumerate(self.stages):  # a stem, then stages with a merging between each two
            x = stage(x)
            if number % 2:
                found.append(x)
        found[-1] = self.norm(found[-1])
        return [m.permute(0, 3, 1, 2) for m in found]


def swin_backbone(net: Any, channels: Sequence[str]) -> SwinBackbone:
    """The net with a stem for these bands.

    Args:
        net: `torchvision.models.SwinTransformer`.
        channels: channel names.
    """
    stem = net.features[0][0]
    net.features[0][0] = nn.Conv2d(
        len(channels), stem.out_channels, kernel_size=stem.kernel_size, stride=stem.stride, bias=stem.bias is not None
    )
    return SwinBackbone(Normaliser(channels), net)
