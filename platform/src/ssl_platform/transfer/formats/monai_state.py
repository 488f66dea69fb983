"""`--format monai`: the encoder of a MONAI net under MONAI's own names: SwinUNETR, BasicUNet, ResNet.

Normalisation stays outside, as MONAI's transforms do it and a decoder's skips see the image too: `preprocess.json` has
mean and deviation for `NormalizeIntensityd`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssl_platform.errors import UsageError
from ssl_platform.nn.adapters.monai import StagedBackbone, SwinBackbone
from ssl_platform.nn.backbone import Normaliser
from ssl_platform.transfer.formats.source import Source, Written, maps_of

_UNET = ("conv_0", "down_1", "down_2", "down_3", "down_4")
_RESNET = ({"0": "conv1", "1": "bn1"}, {"0": "layer1", "1": "layer1"}, "layer2", "layer3", "layer4")
_SWIN = """import torch
from monai.networks.nets import SwinUNETR

weights = torch.load("encoder.pt", weights_only=True)
net = SwinUNETR(in_channels={channels}, out_channels=CLASSES, **{settings})
net.load_from(weights)  # MONAI's own loader of pretrained encoders
# or, the same: net.swinViT.load_state_dict(weights["swinViT"], strict=True)"""
_OTHER = """import torch
from monai.networks.nets import {name}

net = {name}(**{settings})
state = torch.load("encoder.pt", weights_only=True)["state_dict"]
{load}"""


def write(folder: Path, source: Source) -> Written:
    """Write `encoder.pt`.

    Raises:
        UsageError: MONAI is not installed.
        EncoderError: the encoder is none of MONAI's, or this is a finetuned model.
    """
    try:
        importlib.import_module("monai")
    except ImportError as error:
        raise UsageError(f"--format monai needs monai: pip install monai einops ({error})") from error
    net, spec = source.backbone, source.record.backbone
    if source.model is not None:
        raise source.unfit("monai", "it holds encoders, a model's decoder is this platform's; use --format torch")
    if not isinstance(net, SwinBackbone | StagedBackbone) or not spec.name.startswith("monai:"):
        raise source.unfit("monai", "it holds monai:SwinUNETR, monai:UNet and monai:resnet*; use --format torch")
    assert isinstance(net.normaliser, Normaliser)
    name = spec.name.removeprefix("monai:")
    rank, channels = spec.layout.rank, len(spec.channels)
    own: dict[str, Tensor] = {}
    settings: dict[str, Any] = {"spatial_dims": rank, **{k: v for k, v in spec.settings.items() if k != "patch"}}
    if isinstance(net, SwinBackbone):
        own = net.net.state_dict()
        state = {f"module.{key.replace('.linear', '.fc')}": value for key, value in own.items()}  # as `load_from` asks
        if "drop_path_rate" in settings:
            settings["dropout_path_rate"] = settings.pop("drop_path_rate")
        usage = _SWIN.format(channels=channels, settings=settings)
        name = "SwinUNETR"
    elif name == "UNet":
        name, settings = "BasicUNet", {**settings, "in_channels": channels}
        state = _renamed(net, list(_UNET))
        usage = _OTHER.format(
            name=name,
            settings=settings,
            load="missing, unexpected = net.load_state_dict(state, strict=False)\n"
            'assert not unexpected and all(key.startswith(("upcat_", "final_conv")) for key in missing)',
        )
    else:
        name = "resnet18" if name == "ResNet" else name
        settings = {"conv1_t_stride": 2, **settings, "n_input_channels": channels, "feed_forward": False}
        state = _renamed(net, list(_RESNET))
        usage = _OTHER.format(name=name, settings=settings, load="net.load_state_dict(state, strict=True)")
    weights = {"state_dict": state, "swinViT": own} if own else {"state_dict": state}
    torch.save(weights, folder / "encoder.pt")
    x = source.example().nan_to_num()
    mean, std = net.normaliser.mean, net.normaliser.std
    said = {"net": name, "settings": settings, "in_channels": channels, "mean": mean.tolist(), "std": std.tolist()}
    notes = (
        f"Normalise before the net: `NormalizeIntensityd(keys='image', subtrahend={mean.tolist()}, "
        f"divisor={std.tolist()}, channel_wise=True)`, cells without data then become 0.",
        "A decoder is not part of it and begins at random.",
    )
    needs = ("torch", "monai", "einops")
    return Written("encoder.pt", x, maps_of(net, x), needs, usage, said, notes, raw=False, gaps=False)


def _renamed(net: StagedBackbone, names: list[Any]) -> dict[str, Tensor]:
    """Tensors of the stages by MONAI's names.

    Args:
        net: the encoder.
        names: of each stage; where a stage is a sequence of modules, their names by number.
    """
    found = {}
    for key, value in net.stages.state_dict().items():
        number, rest = key.split(".", 1)
        name = names[int(number)]
        if isinstance(name, dict):
            inner, rest = rest.split(".", 1)
            name = name[inner]
        found[f"{name}.{rest}"] = value
    return found
