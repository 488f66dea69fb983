"""Backbones by name, and from their records.

vit-pico ... vit-huge       grids of any rank, point sets, ragged channels
convnet-tiny                grids of any rank; pyramid, sparse
timm:NAME                   images, any channels
monai:SwinUNETR|UNet|resnet18|...
nnunet:PlainConvUNet|ResidualEncoderUNet
slices:NAME, frames:NAME    a net of one rank less over slices or frames
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ssl_platform.errors import ConfigError, did_you_mean
from ssl_platform.nn.adapters.monai import monai_backbone
from ssl_platform.nn.adapters.nnunet import nnunet_backbone
from ssl_platform.nn.adapters.slices import slice_backbone
from ssl_platform.nn.adapters.timm import timm_backbone
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.convnet import convnet
from ssl_platform.nn.sizes import SIZES
from ssl_platform.nn.spec import BackboneSpec
from ssl_platform.nn.vit import ViT, vit
from ssl_platform.types import Layout

Factory = Callable[..., Backbone]

NAMED: dict[str, Factory] = {
    **{f"vit-{size}": partial(vit, size_name=size) for size in SIZES},
    "convnet-tiny": convnet,
}
PREFIXES = ("timm", "monai", "nnunet", "slices", "frames")


def build(
    name: str,
    layout: Layout,
    channels: Sequence[str],
    size: Sequence[int],
    patch: Sequence[int],
    **settings: Any,
) -> Backbone:
    """Build a backbone of the core by name, with random weights.

    Args:
        name: as listed above.
        layout: of the input.
        channels: channel names.
        size: cells of a view along each axis, or `(points,)`.
        patch: cells of a token along each axis, or `(points of a group,)`.
        **settings: of the backbone.

    Returns:
        The backbone, with `spec` set.

    Raises:
        ConfigError: no such backbone, or settings that do not fit.
    """
    spec = BackboneSpec(name, layout, tuple(channels), tuple(size), tuple(patch), settings)
    return build_with(factory_of(name), spec)


def build_with(factory: Factory, spec: BackboneSpec) -> Backbone:
    """Build what `spec` says with a factory, e.g. a plugin's, and note the record on it.

    Raises:
        ConfigError: the factory has no such setting.
    """
    unknown = [key for key in spec.settings if (known := accepted(factory)) is not None and key not in known]
    if unknown:
        names = sorted(accepted(factory) or ())
        close = did_you_mean(unknown[0], names)
        raise ConfigError(f"backbone {spec.name} has no setting {unknown[0]!r}{close}; it has {', '.join(names)}")
    net = factory(spec.layout, spec.channels, spec.size, spec.patch, **spec.settings)
    net.spec = spec
    return net


def rebuild(spec: BackboneSpec) -> Backbone:
    """A core backbone from its record, with random weights."""
    return build_with(factory_of(spec.name), spec)


def factory_of(name: str) -> Factory:
    """The factory `(layout, channels, size, patch, **settings) -> Backbone` of a name.

    Raises:
        ConfigError: there is none.
    """
    if name in NAMED:
        return NAMED[name]
    prefix, colon, model = name.partition(":")
    if colon and model:
        if prefix == "timm":
            return partial(timm_backbone, model=model)
        if prefix == "monai":
            return partial(monai_backbone, model=model)
        if prefix == "nnunet":
            return partial(nnunet_backbone, model=model)
        if prefix in ("slices", "frames"):
            return partial(frames if prefix == "frames" else slices, model=model)
    known = [*NAMED, *(f"{p}:NAME" for p in PREFIXES)]
    raise ConfigError(f"no backbone {name!r}; there are {', '.join(known)}{did_you_mean(name, known)}")


def accepted(factory: Factory) -> set[str] | None:
    """Names of a factory's settings, or None where it passes unknown ones on to another library."""
    bound = set(factory.keywords) if isinstance(factory, partial) else set()
    function = factory.func if isinstance(factory, partial) else factory
    names = {p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY}
    if function is vit:
        names |= {p.name for p in inspect.signature(ViT.__init__).parameters.values() if p.kind is p.KEYWORD_ONLY}
    elif any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values()):
        return None
    return names - bound


def slices(
    layout: Layout, channels: Sequence[str], size: Sequence[int], patch: Sequence[int], *, model: str, **settings: Any
) -> Backbone:
    """`slices:NAME`: a backbone of one rank less over slices along the first axis (see `slice_backbone`)."""
    return slice_backbone(layout, channels, size, patch, model=model, build=build, **settings)


def frames(
    layout: Layout, channels: Sequence[str], size: Sequence[int], patch: Sequence[int], *, model: str, **settings: Any
) -> Backbone:
    """`frames:NAME`: a backbone of one rank less over frames along the axis T (see `slice_backbone`)."""
    return slice_backbone(layout, channels, size, patch, model=model, build=build, time=True, **settings)
