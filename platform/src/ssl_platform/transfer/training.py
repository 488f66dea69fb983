"""Training a model for a task: one loop for every task, on CPU or GPU."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from ssl_platform.data.collate import to_device
from ssl_platform.draws import name_key
from ssl_platform.errors import RunFailed, RunStopped
from ssl_platform.nn.lora import merge_lora
from ssl_platform.schedules import warmup_cosine
from ssl_platform.transfer.model import TransferModel
from ssl_platform.transfer.parameter_groups import parameter_groups
from ssl_platform.transfer.task_loss import task_loss, view_and_target
from ssl_platform.types import Batch
from ssl_platform.views.maker import ViewMaker

SAVE_SECONDS = 60.0
"""A training saves at the first validation this long after it last did."""

Row = dict[str, float | int | str | None]
Validate = Callable[[TransferModel], float]
Improved = Callable[[TransferModel, int], None]


@dataclass(frozen=True)
class Recipe:
    """How a model is trained, everything resolved.

    Attributes:
        steps: optimiser steps.
        lr: peak learning rate of the head.
        weight_decay: of matrices.
        layer_decay: each block's learning rate as a fraction of the next one's.
        warmup: steps of linear warm-up.
        clip: gradient-norm limit.
        eval_every: steps between validations.
        precision: `bf16` under autocast (GPU only) or `32`.
        seed: of dropped paths.
    """

    steps: int
    lr: float
    weight_decay: float = 0.05
    layer_decay: float = 0.75
    warmup: int = 0
    clip: float = 1.0
    eval_every: int = 100
    precision: str = "32"
    seed: int = 0


@dataclass
class History:
    """What happened in training.

    Attributes:
        first, last: loss of the first and the last step (means of ten, where there are so many).
        best: best validation value; nan without validation.
        best_step: where it was reached, 0 for a fitted head before any step; the last step without validation.
        seconds: spent training, validation included.
        validations: `(step, value)`.
    """

    first: float = math.nan
    last: float = math.nan
    best: float = math.nan
    best_step: int = 0
    seconds: float = 0.0
    validations: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Listeners:
    """Who hears of a training.

    Attributes:
        validate: model to a value, larger is better; None for no validation.
        improved: called with the model and the step whenever the weights are the best so far.
        log: takes a row of numbers for logged steps.
        say: takes a line for the user.
        progress: called with steps done and in all.
        save: called with a step and what training needs to go on from there; after validations, now and then.
        stop: asked after every step: the exit code to save and end with, 0 to go on.
    """

    validate: Validate | None = None
    improved: Improved = lambda model, step: None
    log: Callable[[Mapping[str, float | int | str | None]], None] = lambda row: None
    say: Callable[[str], None] = lambda line: None
    progress: Callable[[int, int], None] = lambda done, total: None
    save: Callable[[int, dict[str, Any]], None] | None = None
    stop: Callable[[], int] = lambda: 0


def train(
    model: TransferModel,
    batches: Iterator[Batch],
    maker: ViewMaker,
    recipe: Recipe,
    *,
    device: torch.device,
    listeners: Listeners = Listeners(),
    state: Mapping[str, Any] | None = None,
) -> History:
    """Train a model and leave it with the weights that validated best (the last ones without validation).

    Adapters are merged into the weights at the end.

    Args:
        model: is moved to the device.
        batches: endless, from the first step on that is still to come; with labels, or with a part `mask`.
        maker: makes one augmented view of a batch.
        recipe: how.
        device: where.
        listeners: who hears of it.
        state: what a training that was stopped saved last; with it, it ends as if it had not been stopped.

    Raises:
        RunFailed: the loss is not finite.
        RunStopped: it was asked to stop, and has saved.
    """
    training = Training(model.to(device), maker, recipe, device, listeners)
    done = training.restore(state) if state is not None else training.start()
    for step, batch in zip(range(done + 1, recipe.steps + 1), batches, strict=False):
        training.step(step, to_device(batch, device))
        if code := listeners.stop():
            training.save(step)
            raise RunStopped(f"stopped after step {step} of {recipe.steps}; --resume goes on from there", code)
    return training.end()


class Training:
    """One training of a model, step by step.

    Args:
        model, maker, recipe, device, listeners: as `train` takes them.
    """

    def __init__(
        self, model: TransferModel, maker: ViewMaker, recipe: Recipe, device: torch.device, listeners: Listeners
    ) -> None:
        self.model, self.maker, self.recipe, self.device = model.train(), maker, recipe, device
        self.listeners = listeners
        groups = parameter_groups(model, recipe.layer_decay, recipe.weight_decay)
        self.trained = [p for group in groups for p in group["params"]]  # type: ignore[attr-defined]
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.lr, betas=(0.9, 0.999))
        self.half = recipe.precision == "bf16" and device.type == "cuda"
        self.every = 1 if device.type == "cpu" else 10  # reading a loss makes the host wait for the GPU
        self.history = History()
        self.best: dict[str, Tensor] = {}
        self.waiting: list[Tensor] = []
        self.samples = 0
        self.began = self.since = self.saved = time.monotonic()

    def start(self) -> int:
        """Look at a model whose head is fitted before any step; no steps are done."""
        if self.listeners.validate is not None and self.model.fitted:
            value, _ = self._look(0)
            self.listeners.say(f"step 0/{self.recipe.steps}: validation {value:.4f}")
        return 0

    def step(self, step: int, batch: Batch) -> None:
        """One optimiser step, counted from 1, and the validation and the row that are due after it."""
        recipe, model = self.recipe, self.model
        # Dropped paths draw from the global generator: seeded by the step, going on needs no state of it.
        torch.manual_seed(name_key(f"finetune {recipe.seed} {step}") & (2**62 - 1))
        lr = recipe.lr * warmup_cosine(step - 1, recipe.steps, recipe.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["lr_scale"]
        view, target = view_and_target(model.task, batch, self.maker)
        if step == 1:
            model.begin(view)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            loss = task_loss(model.task, model(view), target, model.scale)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, recipe.clip)
        self.optimizer.step()
        self.waiting.append(loss.detach())
        self.samples += len(batch)
        validating = self.listeners.validate is not None and (step % recipe.eval_every == 0 or step == recipe.steps)
        if step % self.every == 0 or step in (1, recipe.steps) or validating:
            self._report(step, lr, validating)
        if (step % recipe.eval_every == 0 or step == recipe.steps) and time.monotonic() - self.saved >= SAVE_SECONDS:
            self.save(step)
        self.listeners.progress(step, recipe.steps)

    def _report(self, step: int, lr: float, validating: bool) -> None:
        """A row of what happened since the last one."""
        history, now = self.history, time.monotonic()
        self._read_losses(step)
        row: Row = {
            "step": step,
            "loss": history.last,
            "lr": lr,
            "samples_per_second": self.samples / max(now - self.since, 1e-9),
        }
        if validating:
            value, better = self._look(step)
            row["validation"] = value
            mark = " (best)" if better else ""
            done = f"step {step}/{self.recipe.steps}"
            self.listeners.say(f"{done}: loss {history.last:.4g}, validation {value:.4f}{mark}")
        self.samples, self.since = 0, time.monotonic()
        self.listeners.log(row)

    def _read_losses(self, step: int) -> None:
        if not self.waiting:
            return
        history = self.history
        history.last = float(torch.stack(self.waiting).mean())
        self.waiting.clear()
        history.first = history.last if step == 1 else history.first
        if not math.isfinite(history.last):
            raise RunFailed(f"step {step}: the loss is not finite; lower finetune.lr")

    def _look(self, step: int) -> tuple[float, bool]:
        """Validate and keep the weights if they are the best; of equals those trained longest."""
        assert self.listeners.validate is not None
        value, history = self.listeners.validate(self.model.eval()), self.history
        self.model.train()
        history.validations.append((step, value))
        better = math.isnan(history.best) or value >= history.best
        if better:
            history.best, history.best_step = value, step
            self.best = {k: v.detach().cpu().clone() for k, v in self.model.state_dict().items()}
            self.listeners.improved(self.model, step)
        return value, better

    def save(self, step: int) -> None:
        """Hand over what is needed to go on after `step`, where there is somebody to take it."""
        if self.listeners.save is None:
            return
        self._read_losses(step)
        self.history.seconds += time.monotonic() - self.began
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "best": self.best}
        self.listeners.save(step, {**state, "history": asdict(self.history)})
        self.began = self.saved = time.monotonic()

    def restore(self, state: Mapping[str, Any]) -> int:
        """Take over what a training saved; how many steps it had done."""
        self.model.load_state_dict(dict(state["model"]))
        self.optimizer.load_state_dict(state["optimizer"])
        self.best = dict(state["best"])
        self.history = History(
            **{**state["history"], "validations": [tuple(v) for v in state["history"]["validations"]]}
        )
        return int(state["step"])

    def end(self) -> History:
        """Leave the model with the weights that are kept, adapters merged."""
        history = self.history
        if self.best:
            self.model.load_state_dict(self.best)
            self.listeners.say(f"kept: the weights of step {history.best_step}, validation {history.best:.4f}")
        else:
            history.best_step = self.recipe.steps
            self.listeners.improved(self.model, self.recipe.steps)
        history.seconds += time.monotonic() - self.began
        merge_lora(self.model)
        self.model.eval()
        return history
