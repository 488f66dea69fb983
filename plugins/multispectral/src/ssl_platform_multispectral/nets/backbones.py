"""Backbones of multispectral by name: `spectral:*`, `dofa:*` and `torchgeo:*`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from torch import nn

from ssl_platform.errors import ConfigError, did_you_mean
from ssl_platform.nn.adapters.timm import timm_backbone
from ssl_platform.nn.backbone import Backbone, Normaliser
from ssl_platform.nn.patches import grid_of
from ssl_platform.nn.positions import SinCos
from ssl_platform.nn.sizes import size_of
from ssl_platform.nn.tokenizer import Tokenizer
from ssl_platform.nn.vit import ViT
from ssl_platform.types import Layout
from ssl_platform_multispectral.nets.bands import families, micrometres_of
from ssl_platform_multispectral.nets.group_tokenizer import GroupTokenizer
from ssl_platform_multispectral.nets.wave_tokenizer import WaveTokenizer


def spectral_vit(
    layout: Layout,
    channels: Sequence[str],
    size: Sequence[int],
    patch: Sequence[int],
    *,
    model: str,
    groups: Sequence[Sequence[int]] | None = None,
    min_valid: float = 0.0,
    norm_pix: bool = True,
    **settings: Any,
) -> Backbone:
    """A ViT with one token a place and spectral group (SatMAE: Cong et al., 2022).

    Args:
        layout: of the input, rank 2.
        channels: channel names.
        size: cells of a view.
        patch: cells of a token.
        model: size of the ViT, such as `small`.
        groups: positions of the channels of each group; by spectral range when None.
        min_valid: of the tokenizer.
        norm_pix: of the tokenizer.
        **settings: of `ViT`.

    Raises:
        ConfigError: no such size, or groups that do not hold every channel once.
    """
    _check_images(layout, f"spectral:{model}")
    width = size_of(model).dim
    chosen = groups or families(layout, channels)
    cut = GroupTokenizer(len(channels), chosen, patch, width, min_valid=min_valid, norm_pix=norm_pix)
    return _vit(cut, channels, size, patch, model, settings)


def dofa_vit(
    layout: Layout,
    channels: Sequence[str],
    size: Sequence[int],
    patch: Sequence[int],
    *,
    model: str,
    weight_tokens: int = 128,
    min_valid: float = 0.0,
    norm_pix: bool = True,
    **settings: Any,
) -> Backbone:
    """A ViT whose patch embedding is generated from wavelengths (DOFA: Xiong et al., 2024).

    Args:
        layout: of the input, rank 2.
        channels: channel names; each needs a wavelength, or is radar.
        size: cells of a view.
        patch: cells of a token.
        model: size of the ViT, such as `base`.
        weight_tokens: of the generator.
        min_valid: of the tokenizer.
        norm_pix: of the tokenizer.
        **settings: of `ViT`.

    Raises:
        ConfigError: no such size, or a channel without a wavelength.
    """
    _check_images(layout, f"dofa:{model}")
    width = size_of(model).dim
    cut = WaveTokenizer(
        micrometres_of(layout, channels),
        patch,
        width,
        weight_tokens=weight_tokens,
        min_valid=min_valid,
        norm_pix=norm_pix,
    )
    return _vit(cut, channels, size, patch, model, settings)


def torchgeo_backbone(
    layout: Layout, channels: Sequence[str], size: Sequence[int], patch: Sequence[int], *, model: str, **settings: Any
) -> Backbone:
    """A net of torchgeo for any number of bands, without pretrained weights (nothing is ever downloaded here).

    Args:
        layout: of the input, rank 2.
        channels: channel names.
        size: cells of a view; models of fixed size are built for it.
        patch: unused, the model has its own stride.
        model: torchgeo's name, such as `resnet50` or `vit_small_patch16_224`.
        **settings: of the model.

    Raises:
        ConfigError: torchgeo is not installed, has no such model, or it gives no feature maps.
    """
    _check_images(layout, f"torchgeo:{model}")
    try:
        models = importlib.import_module("torchgeo.models")
    except ImportError as error:
        raise ConfigError(f"torchgeo:{model} needs torchgeo: pip install torchgeo ({error})") from error
    known: list[str] = models.list_models()
    if model not in known:
        raise ConfigError(f"torchgeo has no model {model!r}{did_you_mean(model, known)}")
    if model.startswith(("resnet", "vit")):
        # torchgeo builds these with timm under the same names, except for the suffix of its DINOv2 variants.
        return timm_backbone(layout, channels, size, patch, model=model, **settings)
    if model.startswith("swin"):
        from ssl_platform_multispectral.nets.swin import swin_backbone

        return swin_backbone(models.get_model(model, **settings), channels)
    usable = [name for name in known if name.startswith(("resnet", "vit", "swin"))]
    raise ConfigError(f"torchgeo:{model} gives no feature maps of bands chosen freely; there are {', '.join(usable)}")


def _vit(
    cut: Tokenizer,
    channels: Sequence[str],
    size: Sequence[int],
    patch: Sequence[int],
    model: str,
    settings: dict[str, Any],
) -> ViT:
    shape = size_of(model)
    normaliser: nn.Module = Normaliser(channels)
    try:
        return ViT(normaliser, cut, shape, SinCos(2, shape.dim, grid_of(size, patch)), **settings)
    except TypeError as error:
        raise ConfigError(f"the ViT has no such setting: {error}") from error


def _check_images(layout: Layout, name: str) -> None:
    if layout.points or layout.rank != 2:
        raise ConfigError(f"{name} takes images, not {layout.axes!r}")
