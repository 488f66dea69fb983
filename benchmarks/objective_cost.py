"""Processor time of a training step of every objective over that of `mae`: writes docs/objective_costs.json.

    python benchmarks/objective_cost.py                 # all; then python docs/objectives_page.py
    python benchmarks/objective_cost.py --missing       # those without a figure: goes on where it was stopped
    python benchmarks/objective_cost.py simclr dino     # only these, kept beside what was measured before

Tiles of the wholeslide sample set in memory: views made, forward, backward and optimiser, the same encoder and batch
for all. Steps of `mae` are timed before and after those of each objective, and processor time is counted, so that a
neighbour on the machine changes a figure little. Passes over the whole set between steps are not part of it. What
tiles do not suit (rotation: a turned tile is as likely as the tile) is timed on spectrograms, beside `mae` there.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import torch

from ssl_platform.errors import ConfigError
from ssl_platform.testing.learning import BACKBONE, SETUPS, Prepared, Setup, prepare
from ssl_platform.testing.objectives import names
from ssl_platform.types import Batch

PAGE = Path(__file__).resolve().parents[1] / "docs" / "objective_costs.json"
STEPS = 4
BASE = "mae"
SETUP, OTHER = SETUPS["wholeslide"], SETUPS["audio"]


@dataclass
class Stamped(Prepared):
    """An objective that notes when each step begins.

    Attributes:
        begun: seconds of processor time.
    """

    begun: list[float] = field(default_factory=list)

    def batch(self, number: int) -> Batch:
        """The samples of a step."""
        self.begun.append(time.process_time())
        return super().batch(number)

    def seconds(self) -> float:
        """Median over a few steps but the first, which makes the optimiser's state and may pass over the whole set."""
        self.begun.clear()
        self.train(STEPS + 2)
        return statistics.median(b - a for a, b in zip(self.begun[1:], self.begun[2:], strict=False))


def stamped(name: str, setup: Setup = SETUP) -> Stamped:
    """An objective ready for its first step."""
    return Stamped(**vars(prepare(name, setup)))


def elsewhere(name: str) -> tuple[float, float]:
    """Seconds of an objective and of the base where tiles do not suit."""
    base, made = stamped(BASE, OTHER), stamped(name, OTHER)
    base.seconds()
    before = base.seconds()
    return made.seconds(), (before + base.seconds()) / 2


def where() -> str:
    """What was measured, on what, when."""
    side, patch = SETUP.keys["views.global_size"], SETUP.keys["backbone.patch"]
    return (
        f"global views of {side} x {side}, {(side // patch) ** 2} tokens, batch {SETUP.batch}, "
        f"ViT of width {BACKBONE['backbone.dim']} and {BACKBONE['backbone.depth']} blocks, processor time on "
        f"{len(os.sched_getaffinity(0))} CPU cores, torch {torch.__version__.partition('+')[0]}, {date.today()}; "
        "rotation on spectrograms, beside mae there"
    )


def main() -> None:
    """Measure and write after every objective."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="all without")
    parser.add_argument("--missing", action="store_true", help="only those without a figure")
    args = parser.parse_args()
    known = json.loads(PAGE.read_text(encoding="utf-8"))["cost"] if PAGE.exists() else {}
    base = stamped(BASE)
    base.seconds()
    before = base.seconds()
    for name in args.names or names():
        if args.missing and name in known:
            continue
        try:
            made = stamped(name)
        except ConfigError:
            own, beside = elsewhere(name)
        else:
            own, after = made.seconds(), base.seconds()
            beside, before = (before + after) / 2, after
        known[name] = 1.0 if name == BASE else round(own / beside, 2)
        text = json.dumps({"where": where(), "cost": dict(sorted(known.items()))}, indent=1)
        PAGE.write_text(text + "\n", encoding="utf-8")
        print(f"{name:24s} {1000 * own:8.1f} ms  {known[name]:6.2f} x {BASE}", flush=True)


if __name__ == "__main__":
    main()
