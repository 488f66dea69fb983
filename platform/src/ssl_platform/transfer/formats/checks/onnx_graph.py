"""Checks that this net gives here what it gave where it was written. Needs numpy and onnxruntime only.

python check.py

Exits 0 and prints OK when the stored input gives the stored output within the tolerance of preprocess.json, in a batch
and sample by sample.
"""

import json
import sys
from pathlib import Path

import numpy as np


def check(folder: Path) -> float:
    """The largest difference to the stored outputs, relative to the largest stored value.

    Raises:
        ValueError: it is beyond the tolerance.
    """
    import onnxruntime

    about = json.loads((folder / "preprocess.json").read_text(encoding="utf-8"))
    example = dict(np.load(folder / "example.npz"))
    x = example.pop("x")
    net = onnxruntime.InferenceSession(str(folder / about["file"]), providers=["CPUExecutionProvider"])
    names = [output.name for output in net.get_outputs()]
    whole = dict(zip(names, net.run(None, {"x": x}), strict=True))
    single = [dict(zip(names, net.run(None, {"x": x[i : i + 1]}), strict=True)) for i in range(len(x))]
    worst = 0.0
    for name, expected in example.items():
        apart = np.concatenate([whole[name], *(found[name] for found in single)]) - np.concatenate([expected, expected])
        difference = float(np.abs(apart).max() / max(np.abs(expected).max(), 1e-6))
        if not difference <= about["tolerance"]:
            raise ValueError(f"{name} differs by {difference:.1e} of its size, allowed is {about['tolerance']:.0e}")
        worst = max(worst, difference)
    return worst


if __name__ == "__main__":
    try:
        print(f"OK: outputs agree within {check(Path(__file__).resolve().parent):.1e} of their size")
    except ValueError as error:
        sys.exit(f"FAILED: {error}")
