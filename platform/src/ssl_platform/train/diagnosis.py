"""What went wrong in a step whose loss is not finite, found by running it once more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ssl_platform.nn.backbone import Backbone
from ssl_platform.objectives.base import Objective, total_of
from ssl_platform.train.module import Maker
from ssl_platform.types import Batch, Features, Loss, Tokens


@torch.no_grad()
def first_not_finite(backbone: Backbone, objective: Objective, maker: Maker, batches: Sequence[Batch]) -> str:
    """Name the first thing that is not finite in a forward pass: a parameter, the input, a module's output or a term.

    Args:
        backbone: the student.
        objective: built.
        maker: batch to views.
        batches: of the step, on the device.
    """
    for name, parameter in [*_named("backbone", backbone), *_named("objective", objective)]:
        if not bool(parameter.isfinite().all()):
            return f"parameter {name}"
    found: list[str] = []
    handles = []
    names = [("backbone", backbone), *((f"objective.{n}" if n else "objective", m) for n, m in _inner(objective))]
    for prefix, top in names[:1]:
        for name, module in top.named_modules():
            handles.append(module.register_forward_hook(_watch(f"{prefix}.{name}".rstrip("."), found)))
    for name, module in names[1:]:
        handles.append(module.register_forward_hook(_watch(name, found)))
    try:
        for batch in batches:
            views = maker(batch)
            for view in views:
                shown = view.x if view.valid is None else view.x * _spread(view.valid, view.x)
                if not bool(shown.isfinite().all()):
                    return f"the {view.role!r} view"
            loss = total_of(objective(backbone, views))
            if found:
                return f"the output of {found[0]}"
            for name, value in loss.terms.items():
                if not bool(value.isfinite().all()):
                    return f"the loss term {name!r}"
            if not bool(loss.total.isfinite().all()):
                return "the loss"
    finally:
        for handle in handles:
            handle.remove()
    return "a gradient (the loss itself is finite)"


def _named(owner: str, module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(f"{owner}.{name}", parameter) for name, parameter in module.named_parameters()]


def _inner(objective: Objective) -> list[tuple[str, nn.Module]]:
    return [(name, module) for name, module in objective.named_modules() if name]


def _spread(valid: Tensor, x: Tensor) -> Tensor:
    return valid.unsqueeze(1) if valid.ndim == x.ndim - 1 and valid.shape[1:] == x.shape[2:] else valid.unsqueeze(-1)


def _watch(name: str, found: list[str]) -> Any:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        if not found and any(not bool(t.isfinite().all()) for t in _tensors(output)):
            found.append(name)

    return hook


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    if isinstance(value, Features):
        return [value.pooled]
    if isinstance(value, Tokens):
        return [value.values]
    if isinstance(value, Loss):
        return []
    if isinstance(value, tuple | list):
        return [t for v in value for t in _tensors(v)]
    return []
