"""LARS: layer-wise adaptive rate scaling (You, Gitman, Ginsburg, 2017, arXiv:1708.03888, algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class LARS(Optimizer):
    """SGD with momentum whose step for each tensor is proportional to the tensor's own norm.

        trust = eta |w| / (|g| + decay |w|)        (1 where either norm is 0, and for groups with `adapt=False`)
        v <- momentum v + trust (g + decay w)
        w <- w - lr v

    The learning rate multiplies `v` at the end (as published self-supervised code does), so that a change of the
    learning rate acts at once. Nothing is read back to the host. If the attribute `found_inf` holds a tensor that is
    not zero, the step leaves parameters and momenta as they are.

    Args:
        params: parameters or groups; a group may set `adapt=False` (biases and norms).
        lr: learning rate.
        momentum: of `v`.
        weight_decay: `decay`.
        eta: trust coefficient.
    """

    found_inf: Tensor | None = None

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        eta: float = 1e-3,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "eta": eta, "adapt": True}
        super().__init__(cast(Any, params), defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                self._update(group, parameters)
        return loss

    def _update(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        grads = [cast(Tensor, p.grad) for p in parameters]
        decay, eta = group["weight_decay"], group["eta"]
        update = torch._foreach_add(grads, parameters, alpha=decay)
        if group["adapt"]:
            weights = torch.stack(torch._foreach_norm(parameters))
            gradients = torch.stack(torch._foreach_norm(grads))
            both = (weights > 0) & (gradients > 0)
            trust = torch.where(both, eta * weights / (gradients + decay * weights), torch.ones_like(weights))
            torch._foreach_mul_(update, list(trust.unbind()))
        for p in parameters:
            if "velocity" not in self.state[p]:
                self.state[p]["velocity"] = torch.zeros_like(p)
        velocities = [self.state[p]["velocity"] for p in parameters]
        moved = torch._foreach_mul(velocities, group["momentum"])
        torch._foreach_add_(moved, update)
        if self.found_inf is None:
            torch._foreach_copy_(velocities, moved)
            torch._foreach_add_(parameters, velocities, alpha=-group["lr"])
            return
        # A skipped step must not even multiply NaN by zero, so values are chosen, not scaled.
        keep = self.found_inf != 0
        for p, v, new in zip(parameters, velocities, moved, strict=True):
            p.copy_(torch.where(keep, p, p - group["lr"] * new))
            v.copy_(torch.where(keep, v, new))
