"""One collapsed control a family is called collapsed; the same objective as published is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.losses.distillation import byol_regression
from ssl_platform.objectives.base import Objective
from ssl_platform.objectives.contrastive.simclr import SimCLR
from ssl_platform.objectives.distillation.byol import BYOL
from ssl_platform.objectives.embedding import mean_of, pooled
from ssl_platform.objectives.predictive.i_jepa import IJEPA
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import small, small_backbone
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.train.health import FIRST_STEPS, LossTrail, Verdict, judge
from ssl_platform.train.monitor import Monitor
from ssl_platform.train.optim import OptimPlan
from ssl_platform.types import Loss
from ssl_platform.views.maker import ViewMaker

STEPS, BATCH, ITEMS = 60, 16, 64


class NoNegatives(SimCLR):
    """Views attract and nothing repels."""

    def forward(self, backbone: Any, views: Any) -> Loss:
        a, b = pooled(backbone, views)
        pa, pb = (F.normalize(self.projector(x), dim=-1) for x in (a, b))
        return Loss((pa - pb).square().sum(-1).mean(), watch={"embedding": mean_of([a, b])})


class NoStopGradient(BYOL):
    """Both branches follow the gradient, without a predictor."""

    def forward(self, backbone: Any, views: Any) -> Loss:
        features = pooled(backbone, views)
        a, b = (self.projector(x) for x in features)
        return Loss(2 * byol_regression(a, b), watch={"embedding": mean_of(features)})


class NoSlowTeacher(IJEPA):
    """The target is the student itself, one step old."""

    def after_step(self, step: Any, backbone: Any, watch: Any, views: Any) -> None:
        self.teacher.update(backbone, {}, 0.0)


CONTROLS: dict[str, tuple[Callable[[], Objective], float]] = {
    "simclr": (lambda: NoNegatives(small("simclr").config), 2e-3),
    "vicreg": (lambda: small("vicreg", var=0.0, cov=0.0), 2e-3),
    "byol": (lambda: NoStopGradient(small("byol").config), 2e-3),
    "dino": (lambda: small("dino", centring=False, momentum=0.9), 2e-3),
    "swav": (lambda: small("swav", balanced=False), 2e-3),
    "mae": (lambda: small("mae"), 0.0),
    "i-jepa": (lambda: NoSlowTeacher(small("i-jepa").config), 2e-3),
}


def _train(method: Objective, lr: float, steps: int = STEPS) -> Verdict:
    """Train on toy images; the verdict at the end (a run of this size is judged as one of 200 steps)."""
    torch.manual_seed(0)
    net = small_backbone()
    method.build(net, {})
    views = ViewsConfig(local_size=8, strength=0.4)
    maker = ViewMaker(toy_layout(), method.plan(method.config), views, seed=0, window=(16, 16))
    items = [toy_batch(32, start=start) for start in (0, 32, 64, 96)]
    monitor = Monitor(lambda: items, maker.clean)
    untrained = monitor.look(method.export(net).encoder, step=0, seconds=0.0)
    done = fit(
        method,
        net,
        toy_layout(),
        lambda number: toy_batch(BATCH, start=number * BATCH, items=ITEMS),
        steps,
        window=(16, 16),
        epoch_steps=ITEMS // BATCH,
        build=False,
        maker=maker,
        optim=OptimPlan(lr=lr, warmup=10),
    )
    trail = LossTrail()
    for number, loss in enumerate(done.losses):
        trail.add(number + 1, loss)
    assert done.last is not None
    watch = {name: value.detach() for name, value in done.last.watch.items()}
    look = monitor.look(method.export(net).encoder, step=steps, seconds=0.0, losses=trail.recent(), watch=watch)
    return judge(
        replace(look, step=FIRST_STEPS),
        untrained,
        trivial=method.trivial(BATCH),
        family=method.family,
        total=FIRST_STEPS,
    )


@pytest.mark.parametrize("name", CONTROLS)
def test_control_is_called_collapsed(name: str) -> None:
    make, lr = CONTROLS[name]
    assert str(_train(make(), lr)).startswith("collapsed")


# three of them take several seconds each and run with -m slow
PUBLISHED = [pytest.param(n, marks=[pytest.mark.slow] if n in ("dino", "byol", "swav") else []) for n in CONTROLS]


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_objective_is_not(name: str) -> None:
    verdict = _train(small(name), 5e-4, 100 if name in ("mae", "dino") else STEPS)
    assert verdict.verdict in ("healthy", "stalling"), str(verdict)
    if name != "dino":  # with a handful of toy images and prototypes it needs more than these steps
        assert verdict.verdict == "healthy", str(verdict)
