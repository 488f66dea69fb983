"""`optim.lr=auto` and its companions: what a family's papers use, scaled to the run.

Reference values are peak learning rates at their batch, as published; the rule follows the optimiser: linear in batch
for SGD and LARS (Goyal et al., 2017, arXiv:1706.02677), with its square root for Adam (Malladi et al., 2022,
arXiv:2205.10287), and inversely with the encoder's width for Adam on narrow encoders (Yang et al., 2022,
arXiv:2203.03466), whose published values are for widths of 384 and more, where what is learnt stands still or is pushed
apart: with targets that move along and with statistics of the batch, narrow encoders lost what they knew at such rates
(byol, dino, vicreg). Targets that were made by earlier weights bear the square root of it: with all of it moco-v2 and
instdisc fell below random weights, with none they stood still. Published values are also for runs of 10^5 steps and
more: shorter ones get twice as much, or they end before they arrive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ssl_platform.config.schema import RunConfig
from ssl_platform.objectives.base import Objective
from ssl_platform.schedules import resolve_duration
from ssl_platform.train.autoscale import resolve
from ssl_platform.train.optim import OptimPlan

WIDTH = 384
LARS_BATCH = 1024
SHORT_RUN, SHORT_FACTOR = 10_000, 2.0


@dataclass(frozen=True)
class Reference:
    """Published optimisation of a family with AdamW.

    Attributes:
        lr: peak, at `batch`.
        batch: global batch of that value.
        weight_decay: final.
        weight_decay_start: first, or None when constant.
        source: paper.
    """

    lr: float
    batch: int
    weight_decay: float
    weight_decay_start: float | None
    source: str


_MASKED = Reference(2.4e-3, 4096, 0.05, None, "MAE")
REFERENCES: Mapping[str, Reference] = {
    "masked": _MASKED,
    "paired": _MASKED,
    "distillation": Reference(2e-3, 1024, 0.4, 0.04, "DINO"),
    "predictive": Reference(1e-3, 2048, 0.4, 0.04, "I-JEPA"),
    "contrastive": Reference(2.4e-3, 4096, 0.1, None, "MoCo v3"),
    "decorrelation": Reference(2.4e-3, 4096, 0.1, None, "MoCo v3"),
    "clustering": Reference(2e-3, 1024, 0.04, None, "DINO"),
    "dense": Reference(2e-3, 1024, 0.04, None, "DINO"),
}
NARROW_FASTER = ("masked", "paired", "predictive", "contrastive")
"""Families whose Adam goes faster on narrow encoders."""
DEFAULT = Reference(1e-3, 1024, 0.05, None, "AdamW's usual values")
LARS_LR, LARS_DECAY = 0.3, 1e-6  # SimCLR's, per 256 samples
SGD_LR, SGD_DECAY = 0.05, 1e-4  # SimSiam's, per 256 samples


def optimiser(
    config: RunConfig,
    objective: type[Objective],
    batch: int,
    embed_dim: int,
    convnet: bool,
    steps: int = SHORT_RUN,
) -> list[str]:
    """Resolve `optim.name`, `optim.lr` and `optim.weight_decay`; return the lines to print.

    Args:
        config: changed in place.
        objective: its family and whether it remembers are looked at.
        batch: global batch.
        embed_dim: width of the encoder.
        convnet: whether the encoder has no tokens.
        steps: of the run.
    """
    lines: list[str] = []
    family = objective.family
    if config.optim.name == "auto":
        large = convnet and batch >= LARS_BATCH and family not in ("masked", "predictive")
        why = f"a convnet with a batch of at least {LARS_BATCH}" if large else "steady at any batch"
        resolve(config, "optim.name", "lars" if large else "adamw", why, lines)
    name = config.optim.name
    reference = REFERENCES.get(family, DEFAULT)
    if config.optim.lr == "auto":
        if name == "adamw":
            width = min(4.0, max(1.0, WIDTH / embed_dim)) if family in NARROW_FASTER else 1.0
            width = math.sqrt(width) if objective.remembers else width
            short = SHORT_FACTOR if steps < SHORT_RUN else 1.0
            lr = reference.lr * math.sqrt(batch / reference.batch) * width * short
            why = f"{reference.source}: {reference.lr:g} at batch {reference.batch}, square root of the batch"
            why += f", x {width:.2g} for width {embed_dim}" if width > 1 else ""
            why += f", x {short:g} for {steps} steps" if short > 1 else ""
        else:
            base = LARS_LR if name == "lars" else SGD_LR
            lr, why = base * batch / 256, f"{base:g} per 256 samples"
        resolve(config, "optim.lr", float(f"{lr:.3g}"), why, lines)
    if config.optim.weight_decay == "auto":
        decay = {"adamw": reference.weight_decay, "lars": LARS_DECAY, "sgd": SGD_DECAY}[name]
        resolve(config, "optim.weight_decay", decay, reference.source if name == "adamw" else "usual with it", lines)
    return lines


def plan_of(config: RunConfig, family: str, total: int, epoch_steps: int) -> OptimPlan:
    """The optimiser of a configuration whose `auto` values are resolved."""
    o = config.optim
    assert o.name != "auto" and o.lr != "auto" and o.weight_decay != "auto"
    reference = REFERENCES.get(family, DEFAULT)
    start = reference.weight_decay_start
    raised = o.name == "adamw" and start is not None and o.weight_decay == reference.weight_decay
    return OptimPlan(
        name=o.name,
        lr=o.lr,
        weight_decay=o.weight_decay,
        weight_decay_start=start if raised else None,
        betas=o.betas,
        momentum=o.momentum,
        warmup=resolve_duration(o.warmup, total, epoch_steps),
        schedule=o.schedule,
        min_lr=o.min_lr,
        clip=o.clip,
    )
