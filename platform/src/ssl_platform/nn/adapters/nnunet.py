"""Encoders as nnU-Net plans them: `nnunet:PlainConvUNet` and `nnunet:ResidualEncoderUNet` (Isensee et al., 2021, 2024).

Settings are `architecture.arch_kwargs` of an `nnUNetPlans.json`, as they stand there.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ssl_platform.errors import ConfigError, did_you_mean
from ssl_platform.nn.adapters.maps import MapBackbone
from ssl_platform.nn.backbone import Normaliser
from ssl_platform.types import Layout

NETS = ("PlainConvUNet", "ResidualEncoderUNet")
PACKAGE = "dynamic_network_architectures"
_BLOCKS = {"PlainConvUNet": "n_conv_per_stage", "ResidualEncoderUNet": "n_blocks_per_stage"}
_MODULES = frozenset(
    f"{name}{rank}d" for name in ("Conv", "InstanceNorm", "BatchNorm", "Dropout") for rank in (1, 2, 3)
) | {"LeakyReLU", "ReLU", "ELU", "GELU", "SiLU", "PReLU"}
_SMALLEST = 4  # cells of the coarsest map, nnU-Net's UNet_featuremap_min_edge_length
IMPORTED = ("conv_op", "norm_op", "dropout_op", "nonlin")


class PlansBackbone(MapBackbone):
    """The encoder of a U-Net, with a map a stage; the first has the view's own resolution.

    Args:
        normaliser: first layer.
        net: encoder of `dynamic_network_architectures` that returns its skips.
        arch_kwargs: resolved settings of the whole U-Net, plain data.
    """

    def __init__(self, normaliser: nn.Module, net: nn.Module, arch_kwargs: Mapping[str, Any]) -> None:
        super().__init__()
        self.normaliser, self.net, self.arch_kwargs = normaliser, net, dict(arch_kwargs)
        self.embed_dim = int(arch_kwargs["features_per_stage"][-1])

    def maps(self, x: Tensor) -> list[Tensor]:
        """`[B, D_i, *grid_i]` maps, fine to coarse."""
        return list(self.net(x))


def nnunet_backbone(
    layout: Layout, channels: Sequence[str], size: Sequence[int], patch: Sequence[int], *, model: str, **settings: Any
) -> PlansBackbone:
    """Build the encoder of a planned U-Net with random weights.

    Args:
        layout: of the input, a grid of rank 2 or 3.
        channels: channel names, any number.
        size: cells of a view; without `strides` every axis is halved until `4` to `7` cells are left, five times
            at most.
        patch: unused, strides say it.
        model: one of `NETS`.
        **settings: of `arch_kwargs` in a plans file; what is not given is nnU-Net's default for such a size.

    Raises:
        ConfigError: the package is missing, or it cannot build such a net.
    """
    if model not in NETS:
        raise ConfigError(f"no backbone nnunet:{model}; there are {', '.join(NETS)}{did_you_mean(model, NETS)}")
    if layout.points or layout.rank not in (2, 3):
        raise ConfigError(f"nnunet:{model} takes images and volumes, not {layout.axes!r}")
    try:
        made = arch_kwargs(model, layout.rank, size, settings)
        unet: Any = whole_net(model, made, len(channels))
    except ImportError as error:
        raise ConfigError(
            f"backbone nnunet:{model} needs {PACKAGE}: pip install 'ssl-platform[nnunet]' ({error})"
        ) from error
    except (TypeError, ValueError, AssertionError, IndexError) as error:
        raise ConfigError(f"{PACKAGE} cannot build {model} with {settings}: {error}") from error
    return PlansBackbone(Normaliser(channels), unet.encoder, made)


def arch_kwargs(model: str, rank: int, size: Sequence[int], settings: Mapping[str, Any]) -> dict[str, Any]:
    """`arch_kwargs` as a plans file has them: what was given, and nnU-Net's defaults for the rest.

    Args:
        model: one of `NETS`.
        rank: 2 or 3.
        size: cells of a view.
        settings: what was given.

    Raises:
        ConfigError: `conv_op` is of another rank.
    """
    strides = [list(stride) for stride in settings.get("strides", _strides(size))]
    stages = len(strides)
    residual = model == "ResidualEncoderUNet"
    made: dict[str, Any] = {
        "n_stages": stages,
        "features_per_stage": [min(512 if rank == 2 else 320, 32 * 2**stage) for stage in range(stages)],
        "conv_op": f"torch.nn.modules.conv.Conv{rank}d",
        "kernel_sizes": [[3] * rank for _ in range(stages)],
        "strides": strides,
        _BLOCKS[model]: ([1, 3, 4] + [6] * stages)[:stages] if residual else [2] * stages,
        "n_conv_per_stage_decoder": [1 if residual else 2] * (stages - 1),
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{rank}d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    made |= {name: value for name, value in settings.items() if name != "patch"}
    if not str(made["conv_op"]).endswith(f"Conv{rank}d"):
        raise ConfigError(f"backbone.conv_op={made['conv_op']}: the data has {rank} axes; take that configuration's")
    return made


def whole_net(model: str, kwargs: Mapping[str, Any], channels: int, classes: int = 2) -> nn.Module:
    """The whole U-Net, encoder and decoder, initialised as nnU-Net does.

    Args:
        model: one of `NETS`.
        kwargs: from `arch_kwargs`.
        channels: of the input.
        classes: of the output.
    """
    nets = importlib.import_module(f"{PACKAGE}.architectures.unet")
    found = {name: _module(value) if name in IMPORTED else value for name, value in kwargs.items()}
    net: nn.Module = getattr(nets, model)(input_channels=channels, num_classes=classes, deep_supervision=True, **found)
    initialise: Any = net.initialize
    net.apply(initialise)
    return net


def _module(name: str | None) -> type[nn.Module] | None:
    """A torch module by the name a plans file gives it; a configuration imports nothing else."""
    if name is None:
        return None
    last = name.rsplit(".", 1)[-1]
    if last not in _MODULES:
        raise ConfigError(f"{name}: plans may name {', '.join(sorted(_MODULES))}")
    found: type[nn.Module] = getattr(nn, last)
    return found


def _strides(size: Sequence[int]) -> list[list[int]]:
    halvings = [min(5, max(0, (n // _SMALLEST).bit_length() - 1)) for n in size]
    return [[1] * len(size), *([2 if stage < left else 1 for left in halvings] for stage in range(max(halvings)))]
