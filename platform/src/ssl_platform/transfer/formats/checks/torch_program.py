"""Checks that this net gives here what it gave where it was written. Needs torch only.

python check.py

Exits 0 and prints OK when the stored input gives the stored output within the tolerance of preprocess.json, in a batch
and sample by sample.
"""

import json
import sys
from pathlib import Path

import torch


def check(folder: Path) -> float:
    """The largest difference to the stored outputs, relative to the largest stored value.

    Raises:
        ValueError: it is beyond the tolerance.
    """
    about = json.loads((folder / "preprocess.json").read_text(encoding="utf-8"))
    example = torch.load(folder / "example.pt", weights_only=True)
    net = torch.export.load(str(folder / about["file"])).module()
    worst = 0.0
    with torch.no_grad():
        whole = net(example["input"])
        single = [net(example["input"][i : i + 1]) for i in range(len(example["input"]))]
    for name, expected in example["output"].items():
        apart = torch.cat([whole[name], *[found[name] for found in single]]) - torch.cat([expected, expected])
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
