"""Backbones of timm: `timm:resnet50`, `timm:convnext_tiny`, `timm:vit_small_patch16_224`... Rank 2, any channels."""

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


class TimmBackbone(MapBackbone):
    """A timm model as a feature pyramid.

    Args:
        normaliser: first layer.
        net: made with `features_only=True`.
    """

    def __init__(self, normaliser: nn.Module, net: nn.Module) -> None:
        super().__init__()
        self.normaliser = normaliser
        info: Any = net.feature_info
        self.embed_dim = int(info.channels()[-1])
        # Some models (Swin) give their maps channels-last.
        self.channels_last = getattr(net, "output_fmt", None) is not None and "NHWC" in str(net.output_fmt)
        self.net = globalise(net)

    def maps(self, x: Tensor) -> list[Tensor]:
        """`[B, D_i, *grid_i]` maps, fine to coarse."""
        found = [m.permute(0, 3, 1, 2) if self.channels_last else m for m in self.net(x)]
        # Plain transformers give several maps of one size: the deepest one of each size counts.
        return list({tuple(m.shape[2:]): m for m in found}.values())


def timm_backbone(
    layout: Layout, channels: Sequence[str], size: Sequence[int], patch: Sequence[int], *, model: str, **settings: Any
) -> TimmBackbone:
    """Build a timm model without pretrained weights (nothing is ever downloaded here).

    Args:
        layout: of the input, rank 2.
        channels: channel names, any number.
        size: cells of a view; models of fixed size are built for it.
        patch: unused, the model has its own stride.
        model: timm's name.
        **settings: of `timm.create_model`.

    Raises:
        ConfigError: timm is not installed, does not know the name, or the input is not of rank 2.
    """
    if layout.points or layout.rank != 2:
        raise ConfigError(
            f"timm:{model} takes images, not {layout.axes!r}: use slices:timm:{model} (or frames:) for one more axis"
        )
    try:
        timm = importlib.import_module("timm")
    except ImportError as error:
        raise ConfigError(f"backbone timm:{model} needs timm: pip install 'ssl-platform[timm]' ({error})") from error
    if not timm.is_model(model):
        raise ConfigError(f"timm has no model {model!r}{did_you_mean(model, timm.list_models())}")
    made = {"in_chans": len(channels), "pretrained": False, "features_only": True, **settings}
    try:
        net = _made_for(timm.create_model, model, tuple(size), made)
    except (RuntimeError, TypeError, AttributeError, AssertionError) as error:
        raise ConfigError(
            f"timm cannot build {model!r} for views of {tuple(size)} as a feature pyramid: {error}"
        ) from error
    return TimmBackbone(Normaliser(channels), net)


def _made_for(create: Callable[..., Any], name: str, size: tuple[int, ...], settings: dict[str, Any]) -> Any:
    """A model built for `size` where its family needs one (transformers); others take any size."""
    try:
        return create(name, img_size=size, **settings)
    except TypeError as error:
        if "img_size" not in str(error) or "img_size" in settings:
            raise
        return create(name, **settings)
