"""Backbones of pytorchvideo: `pytorchvideo:x3d_s`, `slowfast_r50`, `slow_r50`, `csn_r101`, `mvit_base_16x4`...

Its nets are built from their parts without their heads; weights are never downloaded here. Its transforms, which do not
import beside a current torchvision, are not used.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.errors import ConfigError, did_you_mean
from ssl_platform.nn.adapters.maps import MapBackbone
from ssl_platform.nn.backbone import Normaliser
from ssl_platform.nn.norm import globalise
from ssl_platform.types import Layout

SLOWNESS = 4
"""Frames the fast pathway of SlowFast sees for one of the slow pathway (alpha of the paper)."""
_DEPTH_FACTOR = {"x3d_xs": 2.2, "x3d_s": 2.2, "x3d_m": 2.2, "x3d_l": 5.0}
_RESNETS = {"slow_r50": 50, "slow_r101": 101}
_CSNS = {"csn_r50": 50, "csn_r101": 101}
_SLOWFASTS = {"slowfast_r50": 50, "slowfast_r101": 101}
_MVITS = {"mvit_base_16x4": 16, "mvit_base_32x3": 32}
NAMES = (*_DEPTH_FACTOR, *_RESNETS, *_CSNS, *_SLOWFASTS, *_MVITS)


class StagedClips(MapBackbone):
    """A net of one pathway, run stage by stage.

    Args:
        normaliser: first layer.
        stages: stem and residual stages.
        embed_dim: channels of the last map.
    """

    def __init__(self, normaliser: nn.Module, stages: Sequence[nn.Module], embed_dim: int) -> None:
        super().__init__()
        self.normaliser, self.embed_dim = normaliser, embed_dim
        self.stages = nn.ModuleList([globalise(stage) for stage in stages])

    def maps(self, x: Tensor) -> list[Tensor]:
        """`[B, D_i, T_i, H_i, W_i]` maps, fine to coarse."""
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


class SlowFast(StagedClips):
    """Two pathways (Feichtenhofer et al., 2019): every fourth frame in many channels, all frames in few.

    Its maps join both: the fast pathway's is averaged over time to the slow one's length.
    """

    def maps(self, x: Tensor) -> list[Tensor]:
        """`[B, D_i, T / 4, H_i, W_i]` maps, fine to coarse."""
        if x.shape[2] % SLOWNESS:
            raise ConfigError(f"SlowFast takes clips of a multiple of {SLOWNESS} frames, not {x.shape[2]}: data.window")
        ways = [x[:, :, ::SLOWNESS], x]
        found = []
        for stage in self.stages:
            ways = stage(list(ways))
            slow, fast = ways
            found.append(torch.cat([slow, F.adaptive_avg_pool3d(fast, slow.shape[2:])], 1))
        return found


class MViT(MapBackbone):
    """A multiscale vision transformer (Fan et al., 2021): four maps of falling resolution.

    Args:
        normaliser: first layer.
        net: made by pytorchvideo without class token and head.
        size: cells of a view along each axis, which its positions are made for.
        embed_dim: channels of the last map.
    """

    def __init__(self, normaliser: nn.Module, net: Any, size: Sequence[int], embed_dim: int) -> None:
        super().__init__()
        self.normaliser, self.net, self.size, self.embed_dim = normaliser, net, tuple(size), embed_dim

    def maps(self, x: Tensor) -> list[Tensor]:
        """`[B, D_i, T_i, H_i, W_i]` maps, fine to coarse."""
        if tuple(x.shape[2:]) != self.size:
            raise ConfigError(
                f"this MViT was made for clips of {self.size}, not {tuple(x.shape[2:])}: views.global_size"
            )
        tokens = self.net.cls_positional_encoding(self.net.patch_embed(x))
        grid = list(self.net.cls_positional_encoding.patch_embed_shape)
        grid = [int(n) for n in (grid() if callable(grid) else grid)]
        found = []
        for block in self.net.blocks:
            before, last = grid, tokens
            tokens, grid = block(tokens, list(grid))
            grid = [int(n) for n in grid]
            if grid != before:
                found.append(_as_map(last, before))
        return [*found, _as_map(self.net.norm_embed(tokens), grid)]


def _as_map(tokens: Tensor, grid: Sequence[int]) -> Tensor:
    return tokens.transpose(1, 2).unflatten(2, tuple(grid))


def pytorchvideo_backbone(
    layout: Layout, channels: Sequence[str], size: Sequence[int], patch: Sequence[int], *, model: str, **settings: Any
) -> MapBackbone:
    """Build a net of pytorchvideo without pretrained weights.

    Args:
        layout: of the input, rank 3 with time first.
        channels: channel names, any number.
        size: cells of a view; SlowFast needs a multiple of four frames, MViT is made for exactly this size.
        patch: unused, the nets have their own stride.
        model: one of `NAMES`.
        **settings: of pytorchvideo's `create_x3d`, `create_resnet`, `create_csn`, `create_slowfast` or
            `create_multiscale_vision_transformers`.

    Raises:
        ConfigError: pytorchvideo is not installed, the name is none of these, or the net does not take such input.
    """
    if model not in NAMES:
        raise ConfigError(f"no backbone pytorchvideo:{model}; there are {', '.join(NAMES)}{did_you_mean(model, NAMES)}")
    if layout.points or layout.spatial[0] != "T" or layout.rank != 3:
        raise ConfigError(f"pytorchvideo:{model} takes clips (C T H W), not {layout.axes!r}")
    make: Callable[..., MapBackbone] = next(maker for names, maker in _MAKERS if model in names)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return make(model, channels, tuple(size), settings)
    except ImportError as error:
        raise ConfigError(
            f"backbone pytorchvideo:{model} needs pytorchvideo: pip install pytorchvideo ({error})"
        ) from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"pytorchvideo cannot build {model} with {settings}: {error}") from error


def _create(module: str, name: str, **settings: Any) -> Any:
    return getattr(importlib.import_module(f"pytorchvideo.models.{module}"), name)(**settings)


def _x3d(model: str, channels: Sequence[str], size: tuple[int, ...], settings: dict[str, Any]) -> MapBackbone:
    made = {"depth_factor": _DEPTH_FACTOR[model], "input_clip_length": size[0], "input_crop_size": size[1], **settings}
    net = _create("x3d", "create_x3d", input_channel=len(channels), **made)
    stages = list(net.blocks[:-1])
    return StagedClips(Normaliser(channels), stages, _width(stages))


def _resnet(model: str, channels: Sequence[str], size: tuple[int, ...], settings: dict[str, Any]) -> MapBackbone:
    del size
    made = {"model_depth": _RESNETS[model], "stem_conv_kernel_size": (1, 7, 7), **settings}
    net = _create("resnet", "create_resnet", input_channel=len(channels), head=None, **made)
    stages = list(net.blocks)
    return StagedClips(Normaliser(channels), stages, _width(stages))


def _csn(model: str, channels: Sequence[str], size: tuple[int, ...], settings: dict[str, Any]) -> MapBackbone:
    del size
    made = {"model_depth": _CSNS[model], "stem_pool": nn.MaxPool3d, **settings}
    net = _create("csn", "create_csn", input_channel=len(channels), **made)
    stages = list(net.blocks[:-1])
    return StagedClips(Normaliser(channels), stages, _width(stages))


def _slowfast(model: str, channels: Sequence[str], size: tuple[int, ...], settings: dict[str, Any]) -> MapBackbone:
    del size
    made = {"model_depth": _SLOWFASTS[model], "slowfast_fusion_conv_kernel_size": (7, 1, 1), **settings}
    net = _create("slowfast", "create_slowfast", input_channels=(len(channels),) * 2, head=None, **made)
    stages = list(net.blocks[:-1])  # the last one pools and joins the pathways
    width = sum(_width([way]) for way in stages[-1].multipathway_blocks)
    return SlowFast(Normaliser(channels), stages, width)


def _mvit(model: str, channels: Sequence[str], size: tuple[int, ...], settings: dict[str, Any]) -> MapBackbone:
    base = {
        "embed_dim_mul": [[1, 2.0], [3, 2.0], [14, 2.0]],
        "atten_head_mul": [[1, 2.0], [3, 2.0], [14, 2.0]],
        "pool_q_stride_size": [[1, 1, 2, 2], [3, 1, 2, 2], [14, 1, 2, 2]],
        "pool_kv_stride_adaptive": [1, 8, 8],
        "pool_kvq_kernel": [3, 3, 3],
    }
    net = _create(
        "vision_transformers",
        "create_multiscale_vision_transformers",
        spatial_size=size[1:],
        temporal_size=size[0],
        input_channels=len(channels),
        cls_embed_on=False,
        head=None,
        **{**base, **settings},
    )
    return MViT(Normaliser(channels), net, size, int(net.norm_embed.normalized_shape[0]))


_MAKERS: tuple[tuple[Sequence[str], Callable[..., MapBackbone]], ...] = (
    (tuple(_DEPTH_FACTOR), _x3d),
    (tuple(_RESNETS), _resnet),
    (tuple(_CSNS), _csn),
    (tuple(_SLOWFASTS), _slowfast),
    (tuple(_MVITS), _mvit),
)


def _width(stages: Sequence[nn.Module]) -> int:
    """Channels that the last convolution of the last stage puts out."""
    return [m.out_channels for m in stages[-1].modules() if isinstance(m, nn.Conv3d)][-1]
