"""What augmentation is worth: SimCLR under four recipes of views and two amounts of data, and under random fields.

    python benchmarks/view_recipes.py            # both tables, some minutes on one core
    python benchmarks/view_recipes.py --steps 600 --objective dino

Slides of the sample set in memory, a linear probe (balanced accuracy) on slides that were not trained on, one seed.
Moutakanni et al. (NeurIPS 2024, arXiv:2406.09294) find that the gap of `original` to `crop` shrinks as data grows. Of
random fields (Mansfield et al., 2023) mild ones are said to help and extreme ones to harm.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ssl_platform.data.collate import map_tensors
from ssl_platform.testing.learning import SETUPS, prepare

RECIPES = ("original", "shared", "crop-resize", "crop")
STRENGTHS = (0.0, 0.5, 1.0, 4.0)
EVERY = (4, 1)  # one window of each slide, and all four


def accuracy(objective: str, steps: int, keys: Mapping[str, Any], every: int = 1) -> tuple[int, float]:
    """Windows trained on, and the probe's accuracy."""
    made = prepare(objective, SETUPS["wholeslide"], settings=keys, steps=steps)
    made.items = map_tensors(made.items, lambda tensor: tensor[::every])
    made.train()
    encoder = made.model.objective.export(made.model.backbone).encoder
    return len(made.items), made.probe(encoder)


def main(arguments: Sequence[str]) -> int:
    """Measure and print both tables as Markdown; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objective", default="simclr")
    parser.add_argument("--steps", type=int, default=150)
    args = parser.parse_args(list(arguments))
    print(f"| windows | {' | '.join(RECIPES)} | original - crop |\n{'|---' * (len(RECIPES) + 2)}|", flush=True)
    for every in EVERY:
        found = [accuracy(args.objective, args.steps, {"views.recipe": recipe}, every) for recipe in RECIPES]
        row = [value for _, value in found]
        print(f"| {found[0][0]} | {' | '.join(f'{v:.3f}' for v in row)} | {row[0] - row[-1]:+.3f} |", flush=True)
    print("\n| strength of fields | accuracy |\n|---|---|", flush=True)
    for strength in STRENGTHS:
        _, value = accuracy(args.objective, args.steps, {"views.fields": strength})
        print(f"| {strength:g} | {value:.3f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
