"""Objectives on a domain: five finite steps at the smallest scale, a gradient in every parameter; and the matrix."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from ssl_platform.nn.backbone import Backbone
from ssl_platform.objectives.base import Objective
from ssl_platform.plugins import ObjectiveDeclaration, missing, registry
from ssl_platform.testing.conformance.check import Check, NotApplicable, Violation, one_line
from ssl_platform.testing.conformance.subject import STEPS, DomainUnderTest
from ssl_platform.testing.fit import fit

MORE_STEPS = 3
"""Times as many steps are tried where a parameter waits for its gradient (a layer frozen for the first epoch)."""


def checks(domain: DomainUnderTest, everything: bool = False) -> Iterator[Check]:
    """One check for each objective that fits the domain, or for one of each family."""
    for objective in chosen(domain, everything):
        about = f"{objective.name} takes {STEPS} finite steps, with a gradient in every parameter"
        yield Check(
            f"objective.{objective.name}", domain.subject, about, functools.partial(train, domain, objective.name)
        )


def gaps(domain: DomainUnderTest, objective: ObjectiveDeclaration) -> list[str]:
    """What the objective needs that the domain with its default backbone does not offer."""
    return missing(objective.needs, domain.declaration, registry().backbone(domain.declaration.default_backbone))


def chosen(domain: DomainUnderTest, everything: bool) -> list[ObjectiveDeclaration]:
    """Objectives that fit: all, or the default one and the first of every other family."""
    fit_here = [o for o in registry().objectives() if not gaps(domain, o)]
    if everything:
        return fit_here
    default = domain.declaration.default_objective
    families: dict[str, ObjectiveDeclaration] = {}
    for objective in sorted(fit_here, key=lambda o: (o.name != default, o.name)):
        families.setdefault(objective.family, objective)
    return sorted(families.values(), key=lambda o: o.name)


def train(domain: DomainUnderTest, name: str) -> str:
    """One cell of the matrix."""
    torch.manual_seed(0)
    model = domain.model(name)
    reads, window = model.plan.reads, model.window
    batches = domain.batches(2, window, reads, model.plan.stable)
    if model.plan.labels == "required" and batches[0].label is None:
        raise NotApplicable("the sample set has no labels")
    watch = GradientWatch(model.objective, model.backbone)

    def steps(count: int) -> list[float]:
        return fit(
            model.objective,
            model.backbone,
            domain.layout,
            lambda number: batches[number % len(batches)],
            count,
            window=window,
            epoch_steps=2,
            items=batches[0],
            build=False,
            maker=model.maker,
        ).losses

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
        trained = {id(p) for player in objective.players(backbone) for p in player.parameters}
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
                if key not in trained:
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


# ------------------------------------------------------------------------------------------------------------- matrix
@dataclass(frozen=True)
class Cell:
    """A domain and an objective.

    Attributes:
        domain, objective, family: their names.
        status: `passed`, `failed`, `unfit` or `skipped`.
        seconds: for the steps, with everything they are made of.
        note: what happened, or what is missing.
    """

    domain: str
    objective: str
    family: str
    status: str
    seconds: float = 0.0
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**self.__dict__, "seconds": round(self.seconds, 3)}


@dataclass
class Matrix:
    """All cells of some domains."""

    cells: list[Cell] = field(default_factory=list)

    @property
    def by_pair(self) -> Mapping[tuple[str, str], Cell]:
        """Cells by domain and objective."""
        return {(cell.domain, cell.objective): cell for cell in self.cells}


def cells(domain: DomainUnderTest) -> Iterator[Cell]:
    """Every objective on one domain; unfit ones say what is missing."""
    for objective in registry().objectives():
        lacking = gaps(domain, objective)
        if lacking:
            yield Cell(domain.name, objective.name, objective.family, "unfit", note=f"needs {', '.join(lacking)}")
            continue
        start = time.perf_counter()
        status, note = "passed", ""
        try:
            note = train(domain, objective.name)
        except NotApplicable as nothing:
            status, note = "skipped", nothing.why
        except Violation as found:
            status, note = "failed", found.cause
        except Exception as error:
            status, note = "failed", f"{type(error).__name__}: {one_line(error)}"
        yield Cell(domain.name, objective.name, objective.family, status, time.perf_counter() - start, note)
