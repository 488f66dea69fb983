"""A few steps of training: finite losses, and a gradient in every parameter that is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

import torch
from torch import nn

from ssl_platform.nn.backbone import Backbone
from ssl_platform.objectives.base import Objective
from ssl_platform.testing.conformance.check import Violation

STEPS = 5
MORE_STEPS = 3
"""Further steps that are tried where a parameter waits for its gradient (a layer frozen for the first epoch)."""


def trained(objective: Objective, backbone: Backbone, steps: Callable[[int], list[float]]) -> str:
    """Train and watch.

    Args:
        objective, backbone: built.
        steps: trains them for so many more steps and gives the losses.

    Returns:
        How the loss went.

    Raises:
        Violation: a loss is not finite, or a parameter that is trained gets no gradient.
    """
    watch = GradientWatch(objective, backbone)
    losses = steps(STEPS)
    must_be_finite(losses)
    if watch.without():
        must_be_finite(steps(MORE_STEPS))
    watch.check()
    return f"loss {losses[0]:.3g} to {losses[-1]:.3g}, {watch.count} parameters"


def must_be_finite(losses: Iterable[float]) -> None:
    """No loss is NaN or infinite."""
    for step, loss in enumerate(losses):
        if not abs(loss) < float("inf"):
            raise Violation(
                f"the loss of step {step} is {loss}",
                "guard logarithms, roots and divisions; keep softmax and losses in float32",
            )


class GradientWatch:
    """Notes which parameters ever get a gradient that is finite and not all zero.

    A module may name parameters that no loss reaches by design: `unused = ("head.bias", "norm.*")`, relative to itself.

    Args:
        objective, backbone: built.
    """

    def __init__(self, objective: Objective, backbone: Backbone) -> None:
        ours = {id(p) for player in objective.players(backbone) for p in player.parameters}
        self._names: dict[int, str] = {}
        self._reached: set[int] = set()
        self._broken: set[int] = set()
        self._stray: set[int] = set()
        for prefix, module in (("backbone.", backbone), ("", objective)):
            allowed = _unused(module)
            for name, parameter in module.named_parameters():
                key = id(parameter)
                if key in self._names or not parameter.requires_grad:
                    continue
                if any(fnmatchcase(name, pattern) for pattern in allowed):
                    continue
                self._names[key] = f"{prefix}{name}"
                if key not in ours:
                    self._stray.add(key)
                parameter.register_post_accumulate_grad_hook(self._note)
        self.count = len(self._names) - len(self._stray)

    def _note(self, parameter: torch.Tensor) -> None:
        assert parameter.grad is not None
        if not parameter.grad.isfinite().all():
            self._broken.add(id(parameter))
        elif parameter.grad.any():
            self._reached.add(id(parameter))

    def without(self) -> list[str]:
        """Names of trained parameters that got no gradient so far."""
        return [name for key, name in self._names.items() if key not in self._reached | self._stray]

    def check(self) -> None:
        """Every trained parameter was reached, and no other one.

        Raises:
            Violation: names the first few.
        """
        if broken := [self._names[key] for key in self._broken]:
            raise Violation(f"the gradient of {_some(broken)} is not finite", "guard roots and norms at zero")
        if bare := self.without():
            raise Violation(
                f"no gradient reaches {_some(bare)}",
                "use the parameter in the loss, freeze it (requires_grad_(False)), or name it in the module's `unused`",
            )
        if stray := [self._names[key] for key in self._stray & self._reached]:
            raise Violation(
                f"{_some(stray)} get a gradient, but no player trains them",
                "list them in players(), or compute them without gradient",
            )


def _unused(module: nn.Module) -> list[str]:
    """Patterns of all submodules' `unused`, relative to `module`."""
    found = []
    for path, part in module.named_modules():
        own = getattr(part, "unused", ())
        if isinstance(own, tuple | list):
            found += [f"{path}.{pattern}" if path else str(pattern) for pattern in own]
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
