"""Checks that this encoder gives here what it gave where it was written. Needs torch, monai and einops only.

python check.py

Exits 0 and prints OK when MONAI's own net takes the weights and the stored input gives the stored maps within the
tolerance of preprocess.json, in a batch and sample by sample.
"""

import importlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch


def check(folder: Path) -> float:
    """The largest difference to the stored outputs, relative to the largest stored value.

    Raises:
        ValueError: it is beyond the tolerance, or names are missing.
    """
    about = json.loads((folder / "preprocess.json").read_text(encoding="utf-8"))
    example = torch.load(folder / "example.pt", weights_only=True)
    maps = encoder(about, torch.load(folder / "encoder.pt", weights_only=True))
    spread = (1, -1, *[1] * (example["input"].ndim - 2))
    mean, std = (torch.tensor(about[name]).view(spread) for name in ("mean", "std"))
    worst = 0.0
    with torch.no_grad():
        x = (example["input"] - mean) / std
        found = [maps(x), *(maps(sample) for sample in x[:, None])]
    for number, (name, expected) in enumerate(example["output"].items()):
        apart = torch.cat([one[number] for one in found]) - torch.cat([expected, expected])
        difference = float(apart.abs().max() / expected.abs().max().clamp_min(1e-6))
        if not difference <= about["tolerance"]:
            raise ValueError(f"{name} differs by {difference:.1e} of its size, allowed is {about['tolerance']:.0e}")
        worst = max(worst, difference)
    return worst


def encoder(about: dict[str, Any], weights: dict[str, Any]) -> Callable[[torch.Tensor], Sequence[torch.Tensor]]:
    """A function from normalised images to the maps of the encoder, fine to coarse."""
    nets: Any = importlib.import_module("monai.networks.nets")

    if about["net"] == "SwinUNETR":
        net = nets.SwinUNETR(in_channels=about["in_channels"], out_channels=2, **about["settings"]).eval()
        net.load_from(weights)
        state = weights["swinViT"]
        plain = not any(about["settings"].get(name) for name in ("patch_norm", "use_v2"))  # `load_from` knows neither
        left = [key for key, value in net.swinViT.state_dict().items() if not torch.equal(value, state[key])]
        if plain and left:
            raise ValueError(f"SwinUNETR.load_from left {left[0]} as it was")
        net.swinViT.load_state_dict(state, strict=True)
        return lambda x: net.swinViT(x, net.normalize)
    net = getattr(nets, about["net"])(**about["settings"]).eval()
    missing, unexpected = net.load_state_dict(weights["state_dict"], strict=False)
    if unexpected or any(not key.startswith(("upcat_", "final_conv")) for key in missing):
        raise ValueError(f"names do not fit: missing {missing}, unexpected {unexpected}")
    if about["net"] == "BasicUNet":
        return stages([net.conv_0, net.down_1, net.down_2, net.down_3, net.down_4])
    first = torch.nn.Sequential(net.conv1, net.bn1, net.act)
    second = net.layer1 if net.no_max_pool else torch.nn.Sequential(net.maxpool, net.layer1)
    return stages([first, second, net.layer2, net.layer3, net.layer4])


def stages(modules: Sequence[torch.nn.Module]) -> Callable[[torch.Tensor], Sequence[torch.Tensor]]:
    """Every module's output, one after the other."""

    def run(x: torch.Tensor) -> Sequence[torch.Tensor]:
        found = []
        for module in modules:
            x = module(x)
            found.append(x)
        return found

    return run


if __name__ == "__main__":
    try:
        print(f"OK: outputs agree within {check(Path(__file__).resolve().parent):.1e} of their size")
    except ValueError as error:
        sys.exit(f"FAILED: {error}")
