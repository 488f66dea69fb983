"""One optimiser with a pair of parameter groups for every player, and clipping per player."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from ssl_platform.errors import ConfigError
from ssl_platform.objectives.base import Player
from ssl_platform.schedules import linear, warmup, warmup_cosine
from ssl_platform.train.lars import LARS

UNDECAYED = ("token", "prefix", "position", "pos_embed", "register", "prompt", "query")
"""Name parts of learnt vectors that enter as input: decaying them pulls the input to zero and regularises nothing."""


@dataclass(frozen=True)
class OptimPlan:
    """The optimiser of a run with everything resolved.

    Attributes:
        name: `adamw`, `lars` or `sgd`.
        lr: peak learning rate.
        weight_decay: at the end of the run.
        weight_decay_start: at its start (the same unless the objective's paper raises it).
        betas: Adam's.
        momentum: SGD's and LARS's.
        warmup: steps of linear warm-up.
        schedule: after the warm-up.
        min_lr: final learning rate as a fraction of the peak.
        clip: gradient-norm limit per player, or None.
    """

    name: Literal["adamw", "lars", "sgd"] = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.05
    weight_decay_start: float | None = None
    betas: tuple[float, float] = (0.9, 0.95)
    momentum: float = 0.9
    warmup: int = 0
    schedule: Literal["cosine", "constant"] = "cosine"
    min_lr: float = 0.0
    clip: float | None = 3.0

    def lr_at(self, step: int, total: int) -> float:
        """Learning rate of the optimiser step after `step` done ones, of `total`.

        The warm-up's first step already moves (`lr / warmup`); the last step uses nearly `min_lr * lr`.
        """
        if self.schedule == "constant":
            return self.lr * warmup(step, self.warmup)
        return self.lr * warmup_cosine(step, total, self.warmup, self.min_lr)

    def weight_decay_at(self, step: int, total: int) -> float:
        """Weight decay of the optimiser step after `step` done ones, of `total`."""
        start = self.weight_decay if self.weight_decay_start is None else self.weight_decay_start
        return linear(start, self.weight_decay, min(1.0, step / max(1, total)))


def decays(name: str, parameter: Tensor) -> bool:
    """Whether weight decay applies: not to biases, norms and other vectors, nor to tokens and positions."""
    leaf = name.rsplit(".", 1)[-1]
    return parameter.ndim > 1 and not any(part in leaf for part in UNDECAYED)


def groups(players: Sequence[Player], named: Iterable[tuple[str, nn.Parameter]]) -> list[dict[str, Any]]:
    """Parameter groups: for every player one with weight decay and one without.

    Args:
        players: from `Objective.players`.
        named: all parameters of the backbone and the objective by name.

    Raises:
        ConfigError: a parameter belongs to two players, or a trainable one to none.
    """
    names = {id(p): name for name, p in named if p.requires_grad}
    owner: dict[int, str] = {}
    found: list[dict[str, Any]] = []
    for player in players:
        split: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for p in player.parameters:
            if id(p) in owner:
                raise ConfigError(
                    f"parameter {names.get(id(p), '?')!r} belongs to the players {owner[id(p)]!r} and {player.name!r}"
                )
            owner[id(p)] = player.name
            split[decays(names.get(id(p), ""), p)].append(p)
        for decayed, parameters in split.items():
            if parameters:
                group: dict[str, Any] = {
                    "params": parameters,
                    "player": player.name,
                    "lr_scale": player.lr,
                    "decay_scale": player.weight_decay if decayed else 0.0,
                    "adapt": decayed,
                }
                if player.betas is not None:
                    group["betas"] = player.betas
                if player.constant:
                    group["constant"] = True
                found.append(group)
    left = [name for key, name in names.items() if key not in owner]
    if left:
        raise ConfigError(f"trainable parameter {left[0]!r} belongs to no player ({len(left)} in all)")
    return found


def build(plan: OptimPlan, parameter_groups: list[dict[str, Any]], *, scaled: bool = False) -> Optimizer:
    """The optimiser.

    Fused kernels are used because they alone can skip a step on the device (`found_inf`); with fp16 gradient scaling
    the scaler skips on the host, and gradients must be unscaled before they are clipped, which fused kernels prevent.

    Args:
        plan: what to build.
        parameter_groups: from `groups`.
        scaled: whether fp16 gradient scaling is on.
    """
    fused: dict[str, Any] = {"foreach": True} if scaled else {"fused": True}
    if plan.name == "adamw":
        return AdamW(parameter_groups, lr=plan.lr, betas=plan.betas, weight_decay=plan.weight_decay, **fused)
    if plan.name == "sgd":
        return SGD(parameter_groups, lr=plan.lr, momentum=plan.momentum, weight_decay=plan.weight_decay, **fused)
    return LARS(parameter_groups, lr=plan.lr, momentum=plan.momentum, weight_decay=plan.weight_decay)


def schedule(optimizer: Optimizer, plan: OptimPlan, step: int, total: int) -> float:
    """Set learning rate and weight decay of every group for the coming step; return the run's learning rate."""
    lr, decay = plan.lr_at(step, total), plan.weight_decay_at(step, total)
    peak = plan.lr * warmup(step, plan.warmup)
    for group in optimizer.param_groups:
        group["lr"] = (peak if group.get("constant") else lr) * group["lr_scale"]
        group["weight_decay"] = decay * group["decay_scale"]
    return lr


@torch.no_grad()
def clip(players: Sequence[Player], limit: float | None) -> Tensor:
    """Scale each player's gradients to its norm limit, without reading anything back.

    Args:
        players: whose gradients.
        limit: for players without a limit of their own; None clips nothing.

    Returns:
        The norm of all gradients before clipping, a scalar; not finite if any gradient is not.
    """
    norms = []
    for player in players:
        grads = [p.grad for p in player.parameters if p.grad is not None]
        if not grads:
            continue
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
        norms.append(norm)
        most = player.clip if player.clip is not None else limit
        if most is not None:
            torch._foreach_mul_(grads, (most / (norm + 1e-6)).clamp(max=1.0))
    if not norms:
        return torch.zeros(())
    return torch.linalg.vector_norm(torch.stack(norms))
