"""Checks that this encoder gives here what it gave where it was written.

python check.py

Needs torch and dynamic-network-architectures (nnU-Net's networks) only. Exits 0 and prints OK when the U-Net of
architecture.json takes all weights with strict=True and its encoder gives the stored maps for the stored input within
the tolerance of preprocess.json, in a batch and sample by sample.
"""

import json
import pydoc
import sys
from pathlib import Path
from typing import Any

import torch


def check(folder: Path) -> float:
    """The largest difference to the stored outputs, relative to the largest stored value.

    Raises:
        ValueError: it is beyond the tolerance.
    """
    about = json.loads((folder / "preprocess.json").read_text(encoding="utf-8"))
    plan = json.loads((folder / "architecture.json").read_text(encoding="utf-8"))
    example = torch.load(folder / "example.pt", weights_only=True)
    weights = torch.load(folder / "checkpoint.pth", weights_only=True)["network_weights"]
    settings = dict(plan["arch_kwargs"])
    for name in plan["_kw_requires_import"]:
        settings[name] = None if settings[name] is None else pydoc.locate(settings[name])
    made: Any = pydoc.locate(plan["network_class_name"])
    net = made(input_channels=about["in_channels"], num_classes=2, deep_supervision=True, **settings).eval()
    net.load_state_dict(weights, strict=True)
    spread = (1, -1, *[1] * (example["input"].ndim - 2))
    mean, std = (torch.tensor(about[name]).view(spread) for name in ("mean", "std"))
    worst = 0.0
    with torch.no_grad():
        x = (example["input"] - mean) / std
        found = [net.encoder(x), *(net.encoder(sample) for sample in x[:, None])]
    for number, (name, expected) in enumerate(example["output"].items()):
        apart = torch.cat([one[number] for one in found]) - torch.cat([expected, expected])
        difference = float(apart.abs().max() / expected.abs().max().clamp_min(1e-6))
        if not difference <= about["tolerance"]:
            raise ValueError(f"{name} differs by {difference:.1e} of its size, allowed is {about['tolerance']:.0e}")
        worst = max(worst, difference)
    return worst


if __name__ == "__main__":
    try:
        print(f"OK: outputs agree within {check(Path(__file__).resolve().parent):.1e} of their size")
    except ValueError as error:
        sys.exit(f"FAILED: {error}")
