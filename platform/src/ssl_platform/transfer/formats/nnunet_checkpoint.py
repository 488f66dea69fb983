"""`--format nnunet`: an encoder of nnU-Net's plans as the checkpoint `nnUNetv2_train -pretrained_weights` takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from ssl_platform.nn.adapters.nnunet import IMPORTED, NETS, PACKAGE, PlansBackbone, whole_net
from ssl_platform.transfer.formats.source import Source, Written, maps_of

_USAGE = """# with the plans the encoder was built from (architecture.json must be theirs):
# nnUNetv2_train DATASET CONFIGURATION FOLD -p PLANS -pretrained_weights checkpoint.pth
import torch

weights = torch.load("checkpoint.pth", weights_only=True)["network_weights"]"""


def write(folder: Path, source: Source) -> Written:
    """Write `checkpoint.pth` and `architecture.json`.

    nnU-Net asks for every tensor but the last layers: its decoder is in the file as nnU-Net initialises it.

    Raises:
        EncoderError: the encoder is none of nnU-Net's, or this is a finetuned model.
    """
    net, spec = source.backbone, source.record.backbone
    if source.model is not None:
        raise source.unfit("nnunet", "it holds encoders, nnU-Net trains its own decoder; use --format torch")
    if not isinstance(net, PlansBackbone):
        raise source.unfit("nnunet", f"pretrain with --backbone nnunet:{NETS[0]} or nnunet:{NETS[1]}")
    name = spec.name.removeprefix("nnunet:")
    whole: Any = _seeded(name, net.arch_kwargs, len(spec.channels))
    whole.encoder.load_state_dict(net.net.state_dict(), strict=True)
    torch.save({"network_weights": whole.state_dict(), "trainer_name": "nnUNetTrainer"}, folder / "checkpoint.pth")
    plan = {
        "network_class_name": f"{PACKAGE}.architectures.unet.{name}",
        "arch_kwargs": net.arch_kwargs,
        "_kw_requires_import": list(IMPORTED),
    }
    (folder / "architecture.json").write_text(json.dumps(plan, indent=2) + "\n", encoding="utf-8")
    normaliser: Any = net.normaliser
    said = {"in_channels": len(spec.channels), "mean": normaliser.mean.tolist(), "std": normaliser.std.tolist()}
    notes = (
        f"nnU-Net normalises by itself. This encoder saw values minus {said['mean']} over {said['std']}: the nearer "
        "nnU-Net's normalisation comes to that, the more of what was learnt holds.",
        "The decoder in the file is nnU-Net's own, untrained.",
    )
    x = source.example().nan_to_num()
    needs = ("torch", "dynamic-network-architectures")
    return Written("checkpoint.pth", x, maps_of(net, x), needs, _USAGE, said, notes, raw=False, gaps=False)


def _seeded(name: str, kwargs: dict[str, Any], channels: int) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return whole_net(name, kwargs, channels)
