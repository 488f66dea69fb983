"""Objectives on a domain: five finite steps at the smallest scale, a gradient in every parameter; and the matrix."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from ssl_platform.plugins import ObjectiveDeclaration, missing, registry
from ssl_platform.testing.conformance.check import Check, NotApplicable, Violation, one_line
from ssl_platform.testing.conformance.gradients import STEPS, trained
from ssl_platform.testing.conformance.subject import DomainUnderTest
from ssl_platform.testing.fit import fit


def checks(domain: DomainUnderTest, everything: bool = False) -> Iterator[Check]:
    """One check for each objective that fits the domain, or for one of each family."""
    families = {objective.name for objective in chosen(domain, everything=False)}
    for objective in chosen(domain, everything):
        about = f"{objective.name} takes {STEPS} finite steps, with a gradient in every parameter"
        train_it = functools.partial(train, domain, objective.name)
        counts = objective.name in families  # the floor stands, however many objectives there are
        yield Check(f"objective.{objective.name}", domain.subject, about, train_it, counts=counts)


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
    channels, least = len(domain.opened.catalog.channels), registry().objective(name).needs.min_channels
    if channels < least:
        raise NotApplicable(f"the sample set has {channels} of {least} channels")
    model = domain.model(name)
    reads, window = model.plan.reads, model.window
    batches = domain.batches(2, window, reads, model.plan.stable)
    if model.plan.labels == "required" and batches[0].label is None:
        raise NotApplicable("the sample set has no labels")

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

    return trained(model.objective, model.backbone, steps)


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


def cells(domain: DomainUnderTest) -> Iterator[Cell]:
    """Every objective on one domain; unfit ones say what is missing. What all share is made before the first."""
    broken = _made(domain)
    for objective in registry().objectives():
        lacking = gaps(domain, objective)
        start = time.perf_counter()
        if lacking:
            status, note = "unfit", f"needs {', '.join(lacking)}"
        elif broken:
            status, note = "failed", broken
        else:
            status, note = _tried(domain, objective.name)
        seconds = 0.0 if lacking or broken else time.perf_counter() - start
        yield Cell(domain.name, objective.name, objective.family, status, seconds, note)


def _made(domain: DomainUnderTest) -> str | None:
    """Write and open the sample set; in one line why that fails, if it does."""
    try:
        _ = domain.statistics
    except Exception as error:
        return f"{type(error).__name__}: {one_line(error)}"
    return None


def _tried(domain: DomainUnderTest, name: str) -> tuple[str, str]:
    """Status and note of one cell."""
    try:
        return "passed", train(domain, name)
    except NotApplicable as nothing:
        return "skipped", nothing.why
    except Violation as found:
        return "failed", found.cause
    except Exception as error:
        return "failed", f"{type(error).__name__}: {one_line(error)}"
