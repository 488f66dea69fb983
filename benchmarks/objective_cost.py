"""Seconds of a training step of every objective over those of `mae`: writes docs/objective_costs.json.

    python benchmarks/objective_cost.py                 # all; then python docs/objectives_page.py
    python benchmarks/objective_cost.py simclr dino     # only these, kept beside what was measured before

Tiles of the wholeslide sample set in memory, views made, forward, backward and optimiser, the same encoder and batch
for all. Objectives take turns, and the best of several rounds counts.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import torch

from ssl_platform.testing.learning import BACKBONE, SETUPS, Prepared, prepare
from ssl_platform.testing.objectives import names

PAGE = Path(__file__).resolve().parents[1] / "docs" / "objective_costs.json"
STEPS, ROUNDS = 4, 3
BASE = "mae"


def seconds(made: Prepared) -> float:
    """Of one step, over a few."""
    start = time.perf_counter()
    made.train(STEPS)
    return (time.perf_counter() - start) / STEPS


def main(arguments: Sequence[str]) -> int:
    """Measure and write; returns the exit code."""
    chosen = list(dict.fromkeys([BASE, *(arguments or names())]))
    setup = SETUPS["wholeslide"]
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name in chosen:
            made = prepare(name, setup)
            made.train(1)
            best[name] = min(best.get(name, float("inf")), seconds(made))
    known = json.loads(PAGE.read_text(encoding="utf-8"))["cost"] if PAGE.exists() else {}
    cost = {**known, **{name: round(value / best[BASE], 2) for name, value in best.items()}}
    side, patch = setup.keys["views.global_size"], setup.keys["backbone.patch"]
    cores = len(os.sched_getaffinity(0))
    where = (
        f"tiles of {side} x {side}, {(side // patch) ** 2} tokens, batch {setup.batch}, "
        f"ViT of width {BACKBONE['backbone.dim']} and {BACKBONE['backbone.depth']} blocks, {cores} CPU cores, "
        f"torch {torch.__version__.partition('+')[0]}, {date.today()}"
    )
    PAGE.write_text(json.dumps({"where": where, "cost": dict(sorted(cost.items()))}, indent=1) + "\n", encoding="utf-8")
    for name, value in sorted(best.items(), key=lambda pair: pair[1]):
        print(f"{name:24s} {1000 * value:8.1f} ms  {value / best[BASE]:6.2f} x {BASE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
