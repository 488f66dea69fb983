"""The LightningModule: one optimiser step told in order.

    begin: schedules, objective.before_step
    every micro-batch: views on the device, objective.forward, backward (Lightning)
    gradients ready: objective.after_backward, inactive players, clipping, is everything finite?
    the optimiser, which leaves everything alone when something was not finite
    only if it moved: objective.after_step

Lightning's own defaults are not used where they would break this: it neither clips, nor schedules, nor saves, and its
batch counter says nothing about steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim import Optimizer

from ssl_platform.data.collate import to_device
from ssl_platform.draws import name_key
from ssl_platform.nn.backbone import Backbone
from ssl_platform.objectives.base import Objective, Player, total_of
from ssl_platform.train import optim
from ssl_platform.train.chunked import ChunkedBackbone
from ssl_platform.train.compiled import compile_blocks
from ssl_platform.train.host_flag import HostFlag
from ssl_platform.train.optim import OptimPlan
from ssl_platform.types import Batch, Step, View, Views

Maker = Callable[[Batch], Views]


@dataclass
class StepReport:
    """What an optimiser step leaves for the log; tensors stay on the device until a row is written.

    Attributes:
        step: steps done, this one included.
        loss: mean over the step's micro-batches of this rank.
        terms: the same for every named term.
        grad_norm: before clipping.
        lr, weight_decay: used.
        moved: whether the optimiser moved.
        watch: what the last micro-batch's loss handed out.
    """

    step: int
    loss: Tensor
    terms: dict[str, Tensor]
    grad_norm: Tensor
    lr: float
    weight_decay: float
    moved: bool
    watch: dict[str, Tensor]


class PretrainModule(LightningModule):
    """Backbone, objective and one optimiser.

    Args:
        backbone: the student.
        objective: built on it.
        maker: batch to views, on the device the batch is on.
        plan: the optimiser.
        total: optimiser steps of the run.
        epoch_steps: optimiser steps of one pass over the data.
        batch: global batch of one optimiser step.
        accumulate: micro-batches a step.
        chunks: parts the backbone works through (see `ChunkedBackbone`); 1 for all at once.
        seed: of dropout and other noise of layers.
        compile: whether transformer blocks (see `compile_blocks`) are compiled.
    """

    def __init__(
        self,
        backbone: Backbone,
        objective: Objective,
        maker: Maker,
        plan: OptimPlan,
        *,
        total: int,
        epoch_steps: int = 1,
        batch: int = 1,
        accumulate: int = 1,
        chunks: int = 1,
        seed: int = 0,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.backbone, self.objective, self.maker, self.plan = backbone, objective, maker, plan
        self.total, self.epoch_steps, self.batch, self.accumulate = total, epoch_steps, batch, accumulate
        self.noise_seed = seed
        if compile:
            compile_blocks(backbone, objective)
        self.student: tuple[Backbone] = (ChunkedBackbone(backbone, chunks) if chunks > 1 else backbone,)
        self.players: list[Player] = objective.players(backbone)
        self.steps_done = 0
        self.micro = 0
        self.moved = True
        self.skipped_in_a_row = 0
        self.batches: list[Batch] = []
        self.reports: Callable[[StepReport], None] = lambda report: None
        self.on_skip: Callable[[int], None] = lambda in_a_row: None
        self._watch: list[dict[str, Tensor]] = []
        self._views: list[Views] = []
        self._losses: list[Tensor] = []
        self._terms: list[dict[str, Tensor]] = []
        self._flag = HostFlag()
        self._norm = torch.zeros(())

    # ----------------------------------------------------------------------------------------------- the optimiser
    def configure_optimizers(self) -> Optimizer:
        """The one optimiser; called by Lightning after the modules are on their device."""
        named = [*self.backbone.named_parameters(), *self.objective.named_parameters()]
        scaled = getattr(getattr(self.trainer, "precision_plugin", None), "scaler", None) is not None
        self.scaled = scaled
        optimizer = optim.build(self.plan, optim.groups(self.players, named), scaled=scaled)
        optimizer.register_step_post_hook(self._after_optimiser)
        return optimizer

    @property
    def step_now(self) -> Step:
        """The step being done."""
        lr = self.plan.lr_at(self.steps_done, self.total)
        return Step(self.steps_done, self.total, self.epoch_steps, self.batch, lr)

    # -------------------------------------------------------------------------------------------------- a micro-batch
    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch in its storage type."""
        return to_device(batch, device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one micro-batch; Lightning divides it by the number of micro-batches."""
        if self.micro == 0:
            self._begin()
        self._seed_noise()
        views = self.maker(batch)
        loss = total_of(self.objective(self.student[0], views))
        self.batches.append(batch)
        self._losses.append(loss.total.detach())
        self._terms.append({name: value.detach() for name, value in loss.terms.items()})
        self._watch.append({name: value.detach() for name, value in loss.watch.items()})
        self._views.append(Views([_without_pixels(v) for v in views]))
        self.micro += 1
        # A loss that is not finite must reach every gradient of every rank, even where its own gradient is finite;
        # times one it is unchanged.
        total = loss.total
        return total * torch.where(total.isfinite(), torch.ones_like(total), torch.full_like(total, torch.nan))

    def _begin(self) -> None:
        for kept in (self.batches, self._losses, self._terms, self._watch, self._views):
            kept.clear()
        self.moved = False
        optimizer = self.trainer.optimizers[0]
        optim.schedule(optimizer, self.plan, self.steps_done, self.total)
        self.objective.before_step(self.step_now)

    def _seed_noise(self) -> None:
        """Dropout draws from the global generator: seeded by (seed, micro-step, rank), resume needs no state of it."""
        micro_step = self.steps_done * self.accumulate + self.micro
        torch.manual_seed(name_key(f"noise {self.noise_seed} {micro_step} {self.global_rank}") & (2**62 - 1))

    # --------------------------------------------------------------------------------------- an optimiser step's end
    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """All gradients of the step are there (and unscaled)."""
        step = self.step_now
        self.objective.after_backward(step)
        for player in self.players:
            if not player.active(step):
                for p in player.parameters:
                    p.grad = None
        self._norm = optim.clip(self.players, self.plan.clip)
        loss = torch.stack(self._losses).sum()
        finite = loss.isfinite() if self.scaled else self._norm.isfinite() & loss.isfinite()
        skip = (~finite).to(torch.float32)
        if not self.scaled:
            _set_found_inf(optimizer, skip)
        self._flag.send(skip)

    def configure_gradient_clipping(self, *args: Any, **kwargs: Any) -> None:
        """Clipping is ours, per player, in `on_before_optimizer_step`."""

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Run the step (Lightning calls forward and backward inside), then count it."""
        super().optimizer_step(*args, **kwargs)
        self._end()

    def _after_optimiser(self, optimizer: Optimizer, *unused: Any) -> None:
        """Called by the optimiser at the end of its step; an overflowed fp16 step never gets here."""
        # The answer was sent before the optimiser's kernels were queued: waiting for it does not drain the device.
        if self._flag.read():
            return
        self.moved = True
        self.objective.after_step(self.step_now, self.backbone, self._watch, self._views)

    def _end(self) -> None:
        step, bad = self.step_now, self._flag.read()
        terms = {name: torch.stack([t[name] for t in self._terms]).mean() for name in self._terms[0]}
        self.steps_done += 1
        self.micro = 0
        self.skipped_in_a_row = self.skipped_in_a_row + 1 if bad else 0
        if bad:
            self.on_skip(self.skipped_in_a_row)
        self.reports(
            StepReport(
                step=self.steps_done,
                loss=torch.stack(self._losses).mean(),
                terms=terms,
                grad_norm=self._norm,
                lr=step.lr,
                weight_decay=self.plan.weight_decay_at(step.step, self.total),
                moved=self.moved,
                watch=self._watch[-1],
            )
        )


def _without_pixels(view: View) -> View:
    """Index, group, label and meta of a view; pixels and geometry are not kept alive."""
    return replace(view, x=view.x[:, :0], valid=None, channel_valid=None, geometry=None, draws=None, params={})


def _set_found_inf(optimizer: Optimizer, skip: Tensor) -> None:
    """Tell a fused optimiser (or LARS) on the device whether to leave everything alone."""
    optimizer.grad_scale = None  # type: ignore[attr-defined]
    optimizer.found_inf = skip  # type: ignore[attr-defined]
