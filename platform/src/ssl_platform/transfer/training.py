"""Training a model for a task: one loop for every task, on CPU or GPU."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.data.collate import to_device
from ssl_platform.errors import RunFailed
from ssl_platform.schedules import warmup_cosine
from ssl_platform.train.optim import decays
from ssl_platform.transfer.dense_labels import carry_labels, carry_point_labels, dice_cross_entropy
from ssl_platform.transfer.masks import UNKNOWN
from ssl_platform.transfer.model import TransferModel
from ssl_platform.transfer.task import Task
from ssl_platform.types import Batch, View
from ssl_platform.views.maker import ViewMaker

_BLOCK = re.compile(r"(?:^|\.)(?:blocks|stages|layers|layer)\.?((?:\d+)(?:\.\d+)?)\.")

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
    """

    steps: int
    lr: float
    weight_decay: float = 0.05
    layer_decay: float = 0.75
    warmup: int = 0
    clip: float = 1.0
    eval_every: int = 100
    precision: str = "32"


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


def task_loss(task: Task, output: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    """The loss of a batch; unknown targets count nowhere.

    Args:
        task: classification: cross-entropy; multi-label: binary cross-entropy; regression: squared error in units of
            the target's deviation; segmentation: Dice plus cross-entropy.
        output: `[B, K]` or `[B, K, *size]`.
        target: `[B]` int64 (-1 unknown), `[B, K]` or `[B]` float (nan unknown), or `[B, *size]` int64 (-1 unknown).
        scale: the target's deviation (regression).
    """
    if task.kind == "segmentation":
        return dice_cross_entropy(output, target, UNKNOWN)
    output = output.float()
    if task.kind == "classification":
        known = target >= 0
        each = F.cross_entropy(output, target.clamp_min(0), reduction="none")
        return (each * known).sum() / known.sum().clamp_min(1)
    target = target.float().view_as(output)
    known = ~torch.isnan(target)
    safe = torch.where(known, target, torch.zeros_like(target))
    if task.kind == "multi-label":
        each = F.binary_cross_entropy_with_logits(output, safe, reduction="none")
    else:
        each = ((output - safe) / scale).square()
    return (each * known).sum() / known.sum().clamp_min(1)


def depth_of(names: Sequence[str]) -> dict[str, int]:
    """The layer of every parameter of a backbone: 0 before the blocks, then a number for each block, then the rest.

    Args:
        names: parameter names in order; blocks are found by the words blocks, stages and layers.
    """
    keys: dict[str, tuple[int, ...] | None] = {}
    for name in names:
        found = _BLOCK.search(name)
        keys[name] = tuple(int(n) for n in found[1].split(".")) if found else None
    order = {key: i + 1 for i, key in enumerate(sorted({k for k in keys.values() if k is not None}))}
    last, seen, depth = len(order) + 1, False, {}
    for name, key in keys.items():
        seen = seen or key is not None
        depth[name] = order[key] if key is not None else (last if seen or not order else 0)
    return depth


def parameter_groups(model: TransferModel, recipe: Recipe) -> list[dict[str, object]]:
    """Groups of parameters that share learning rate and weight decay (layer-wise decay as in BEiT and MAE).

    The head has the scale 1; a layer of the encoder `layer_decay` to the number of layers above it.
    """
    own = dict(model.backbone.named_parameters())
    depth = depth_of(list(own))
    top = max(depth.values(), default=0)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in own.items():
        if parameter.requires_grad:
            scale = recipe.layer_decay ** (top + 1 - depth[name])
            groups.setdefault((scale, decays(name, parameter)), []).append(parameter)
    for name, parameter in model.head.named_parameters():
        groups.setdefault((1.0, decays(name, parameter)), []).append(parameter)
    return [
        {"params": members, "lr_scale": scale, "weight_decay": recipe.weight_decay if decayed else 0.0}
        for (scale, decayed), members in groups.items()
    ]


def view_and_target(task: Task, batch: Batch, maker: ViewMaker) -> tuple[View, Tensor]:
    """The training view of a batch and its target, for segmentation on the cells or points of the view."""
    (view,) = maker(batch)
    if task.kind != "segmentation":
        assert batch.label is not None
        return view, batch.label
    assert view.geometry is not None
    if maker.layout.points:
        return view, carry_point_labels(batch.reads[0]["mask"], batch.reads[0]["main"], view, UNKNOWN)
    return view, carry_labels(batch.reads[0]["mask"], view.geometry, tuple(view.x.shape[2:]), UNKNOWN)


def train(
    model: TransferModel,
    batches: Iterator[Batch],
    maker: ViewMaker,
    recipe: Recipe,
    *,
    device: torch.device,
    validate: Validate | None = None,
    improved: Improved | None = None,
    log: Callable[[Mapping[str, float | int | str | None]], None] | None = None,
    say: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> History:
    """Train a model and leave it with the weights that validated best (the last ones without validation).

    Args:
        model: is moved to the device.
        batches: endless; with labels, or with a part `mask`.
        maker: makes one augmented view of a batch.
        recipe: how.
        device: where.
        validate: model to a value, larger is better; None for no validation.
        improved: called with the model and the step whenever the weights are the best so far.
        log: takes a row of numbers for logged steps.
        say: takes a line for the user.
        progress: called with steps done and in all.

    Raises:
        RunFailed: the loss is not finite.
    """
    model.to(device).train()
    groups = parameter_groups(model, recipe)
    trained = [p for group in groups for p in group["params"]]  # type: ignore[attr-defined]
    optimizer = torch.optim.AdamW(groups, lr=recipe.lr, betas=(0.9, 0.999))
    half = recipe.precision == "bf16" and device.type == "cuda"
    every = 1 if device.type == "cpu" else 10  # reading a loss makes the host wait for the GPU
    history, best = History(), None
    waiting: list[Tensor] = []
    start = since = time.monotonic()
    samples = 0

    def look(step: int) -> tuple[float, bool]:
        """Validate and keep the weights if they are the best; of equals those trained longest."""
        nonlocal best
        assert validate is not None
        value = validate(model.eval())
        model.train()
        history.validations.append((step, value))
        better = math.isnan(history.best) or value >= history.best
        if better:
            history.best, history.best_step = value, step
            best = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}
            if improved is not None:
                improved(model, step)
        return value, better

    if validate is not None and model.fitted:
        value, _ = look(0)
        if say is not None:
            say(f"step 0/{recipe.steps}: validation {value:.4f}")
    for step, batch in zip(range(1, recipe.steps + 1), batches, strict=False):
        batch = to_device(batch, device)
        lr = recipe.lr * warmup_cosine(step - 1, recipe.steps, recipe.warmup)
        for group in optimizer.param_groups:
            group["lr"] = lr * group["lr_scale"]
        view, target = view_and_target(model.task, batch, maker)
        if step == 1:
            model.begin(view)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = task_loss(model.task, model(view), target, model.scale)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, recipe.clip)
        optimizer.step()
        waiting.append(loss.detach())
        samples += len(batch)
        validating = validate is not None and (step % recipe.eval_every == 0 or step == recipe.steps)
        if step % every == 0 or step == 1 or step == recipe.steps or validating:
            history.last = float(torch.stack(waiting).mean())
            waiting.clear()
            history.first = history.last if step == 1 else history.first
            if not math.isfinite(history.last):
                raise RunFailed(f"step {step}: the loss is not finite; lower finetune.lr")
            now = time.monotonic()
            row: Row = {"step": step, "loss": history.last, "lr": lr, "samples_per_second": samples / (now - since)}
            samples, since = 0, now
            if validating and validate is not None:
                value, better = look(step)
                row["validation"] = value
                if say is not None:
                    mark = " (best)" if better else ""
                    say(f"step {step}/{recipe.steps}: loss {history.last:.4g}, validation {value:.4f}{mark}")
                since = time.monotonic()
            if log is not None:
                log(row)
        if progress is not None:
            progress(step, recipe.steps)
    if best is not None:
        model.load_state_dict(best)
        if say is not None:
            say(f"kept: the weights of step {history.best_step}, validation {history.best:.4f}")
    else:
        history.best_step = recipe.steps
        if improved is not None:
            improved(model, recipe.steps)
    history.seconds = time.monotonic() - start
    model.eval()
    return history
