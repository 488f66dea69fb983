"""Checks that this net gives here what it gave where it was written. Needs torch, timm and safetensors only.

python check.py

Exits 0 and prints OK when timm's own model takes the weights with strict=True and the stored input gives the stored
output within the tolerance of preprocess.json, in a batch and sample by sample.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch


def check(folder: Path) -> float:
    """The largest difference to the stored outputs, relative to the largest stored value.

    Raises:
        ValueError: it is beyond the tolerance.
    """
    import timm
    from safetensors.torch import load_file

    about = json.loads((folder / "preprocess.json").read_text(encoding="utf-8"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    example = torch.load(folder / "example.pt", weights_only=True)
    net = timm.create_model(config["architecture"], **config["model_args"])
    net.load_state_dict(load_file(str(folder / "model.safetensors")), strict=True)
    net.eval()
    worst = 0.0
    with torch.no_grad():
        for name, expected in example["output"].items():
            inputs = (example["input"], *example["input"][:, None])
            found = [tokens(net, x) if name == "tokens" else net(x) for x in inputs]
            apart = torch.cat(found) - torch.cat([expected, expected])
            difference = float(apart.abs().max() / expected.abs().max().clamp_min(1e-6))
            if not difference <= about["tolerance"]:
                raise ValueError(f"{name} differs by {difference:.1e} of its size, allowed is {about['tolerance']:.0e}")
            worst = max(worst, difference)
    return worst


def tokens(net: Any, x: torch.Tensor) -> torch.Tensor:
    """Features of the patches, without class and register tokens."""
    found: torch.Tensor = net.forward_features(x)[:, net.num_prefix_tokens :]
    return found


if __name__ == "__main__":
    try:
        print(f"OK: outputs agree within {check(Path(__file__).resolve().parent):.1e} of their size")
    except ValueError as error:
        sys.exit(f"FAILED: {error}")
