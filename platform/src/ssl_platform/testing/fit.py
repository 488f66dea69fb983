"""The life of an objective without a trainer: the smallest loop that honours every hook, for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.nn.backbone import Backbone
from ssl_platform.objectives.base import Objective, total_of
from ssl_platform.plan import Refresh
from ssl_platform.schedules import resolve_duration
from ssl_platform.train.optim import OptimPlan, clip, schedule
from ssl_platform.train.optim import build as build_optimiser
from ssl_platform.train.optim import groups as optim_groups
from ssl_platform.types import Batch, Layout, Loss, Step, Views
from ssl_platform.views.maker import ViewMaker


@dataclass
class Fitted:
    """What `fit` did.

    Attributes:
        losses: total loss of every step.
        last: the last `Loss`.
        views: the last views.
    """

    losses: list[float] = field(default_factory=list)
    last: Loss | None = None
    views: Views | None = None


def fit(
    objective: Objective,
    backbone: Backbone,
    layout: Layout,
    batches: Callable[[int], Batch],
    steps: int,
    *,
    window: tuple[int, ...],
    models: Mapping[str, nn.Module] | None = None,
    lr: float = 1e-3,
    views: ViewsConfig | None = None,
    epoch_steps: int = 4,
    items: Batch | None = None,
    build: bool = True,
    maker: ViewMaker | None = None,
    optim: OptimPlan | None = None,
) -> Fitted:
    """Train `objective` for some steps, calling every hook as the trainer does.

    Args:
        objective: built here unless `build` is False.
        backbone: the student.
        layout: of the batches' main part.
        batches: step number to batch.
        steps: optimiser steps.
        window: cells read along each axis.
        models: further models of the plan.
        lr: learning rate.
        views: sizes and strengths.
        epoch_steps: steps called one epoch.
        items: all items in index order, for plans with a refresh.
        build: whether to call `objective.build`.
        maker: makes the views; one of the layout, the plan and `views` when None.
        optim: optimiser and schedules as in a run; AdamW at a constant `lr` when None.
    """
    plan = objective.plan(objective.config)
    maker = maker or ViewMaker(layout, plan, views or ViewsConfig(), seed=0, window=window)
    if build:
        objective.build(backbone, models or {})
    players = objective.players(backbone)
    optimiser: torch.optim.Optimizer
    if optim is None:
        groups = [{"params": p.parameters, "lr": lr * p.lr, "betas": p.betas or (0.9, 0.95)} for p in players]
        optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
    else:
        named = [*backbone.named_parameters(), *objective.named_parameters()]
        optimiser = build_optimiser(optim, optim_groups(players, named))
    objective.train()
    backbone.train()
    done = Fitted()
    for number in range(steps):
        batch = batches(number)
        if optim is not None:
            lr = schedule(optimiser, optim, number, steps)
        step = Step(number, steps, epoch_steps, len(batch), lr)
        if plan.refresh is not None and items is not None and _passes(plan.refresh, step):
            with torch.no_grad():
                encoder = objective.embedder(backbone)
                objective.refresh(step, encoder(maker.clean(items)).pooled, items.index)
        objective.before_step(step)
        made = maker(batch)
        loss = total_of(objective(backbone, made))
        optimiser.zero_grad(set_to_none=True)
        loss.total.backward()
        objective.after_backward(step)
        for player in players:
            if not player.active(step):
                for parameter in player.parameters:
                    parameter.grad = None
            elif player.clip is not None and optim is None:
                nn.utils.clip_grad_norm_(player.parameters, player.clip)
        if optim is not None:
            clip(players, optim.clip)
        optimiser.step()
        watch = {name: value.detach() for name, value in loss.watch.items()}
        objective.after_step(step, backbone, [watch], [made])
        done.losses.append(float(loss.total.detach()))
        done.last, done.views = loss, made
    return done


def _passes(refresh: Refresh, step: Step) -> bool:
    """Whether a whole-set pass comes before this step."""
    every = max(1, resolve_duration(refresh.every, step.total, step.epoch_steps))
    return step.step % every == 0 if step.step else refresh.at_start
