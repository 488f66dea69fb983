"""The plans of several objectives as one, so that they share reads, views and a backbone.

It imports no torch: what a combination needs is told before anything heavy loads, as for one objective.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ssl_platform.errors import ConfigError
from ssl_platform.plan import Plan, Reads, Refresh, ViewSpec

_T = TypeVar("_T")
COMBINATION = "multi"
"""The objective whose needs are those of its parts."""


@dataclass(frozen=True)
class Taken:
    """A view of the joint plan as one part sees it.

    Attributes:
        position: among all views of the joint plan.
        role: what the part calls it.
    """

    position: int
    role: str


@dataclass(frozen=True)
class JointPlan:
    """Several plans as one.

    Attributes:
        plan: the needs of all.
        taken: the views of each part, in the order of its own plan.
    """

    plan: Plan
    taken: Mapping[str, tuple[Taken, ...]]


def join(plans: Mapping[str, Plan]) -> JointPlan:
    """The needs of all parts together.

    Views of equal specs are made once and shared. A part whose views refer to each other (`inside`, `like`, `overlap`)
    shares all of them or none. Where two parts mean different views by one role, the later part's is `PART.ROLE`; its
    models are `PART-NAME`.

    Args:
        plans: by the part's name, in order.

    Raises:
        ConfigError: two parts need reads or whole-set passes that differ.
    """
    views = _Views()
    placed = {part: views.place(part, plan.views) for part, plan in plans.items()}
    labels = {plan.labels for plan in plans.values()}
    pretexts = {plan.pretext for plan in plans.values() if plan.pretext}
    joint = Plan(
        views=tuple(views.specs),
        reads=_agreed("reads", plans, lambda plan: None if plan.reads == Reads() else plan.reads) or Reads(),
        offers=_in_order(offer for plan in plans.values() for offer in plan.offers),
        grid=any(plan.grid for plan in plans.values()),
        parts=_in_order(name for plan in plans.values() for name in plan.parts),
        labels="required" if "required" in labels else "optional" if "optional" in labels else None,
        stable=any(plan.stable for plan in plans.values()),
        groups=any(plan.groups for plan in plans.values()),
        models=tuple((f"{part}-{name}", model) for part, plan in plans.items() for name, model in plan.models),
        refresh=_refresh(plans),
        min_batch=max(plan.min_batch for plan in plans.values()),
        batch_coupled=any(plan.batch_coupled for plan in plans.values()),
        host_solver=any(plan.host_solver for plan in plans.values()),
        pretext=pretexts.pop() if len(pretexts) == 1 else (),
        min_channels=max(plan.min_channels for plan in plans.values()),
    )
    return JointPlan(joint, {part: views.taken(own) for part, own in placed.items()})


@dataclass
class _Views:
    """Views placed so far.

    Attributes:
        specs: of the joint plan.
        sources: the spec each came from, with a count of one; None where it belongs to a set that refers to itself.
        sets: the first number of each such set.
    """

    specs: list[ViewSpec] = field(default_factory=list)
    sources: list[ViewSpec | None] = field(default_factory=list)
    sets: dict[tuple[ViewSpec, ...], int] = field(default_factory=dict)

    def place(self, part: str, wanted: tuple[ViewSpec, ...]) -> list[tuple[int, int, str]]:
        """Add the views of a part; return (spec, copy, the part's role) of each."""
        if any(spec.inside or spec.like or spec.overlap is not None for spec in wanted):
            numbers = self._set(part, wanted)
        else:
            numbers = self._single(part, wanted)
        return [
            (number, copy, spec.role)
            for number, spec in zip(numbers, wanted, strict=True)
            for copy in range(spec.count)
        ]

    def taken(self, own: list[tuple[int, int, str]]) -> tuple[Taken, ...]:
        """Positions once all parts are placed."""
        starts = [sum(spec.count for spec in self.specs[:number]) for number in range(len(self.specs))]
        return tuple(Taken(starts[number] + copy, role) for number, copy, role in own)

    def _set(self, part: str, wanted: tuple[ViewSpec, ...]) -> list[int]:
        first = self.sets.get(wanted)
        if first is None:
            first = self.sets[wanted] = len(self.specs)
            clash = {spec.role for spec in self.specs} & {spec.role for spec in wanted}

            def named(role: str | None) -> str | None:
                return f"{part}.{role}" if clash and role else role

            for spec in wanted:
                renamed = replace(spec, inside=named(spec.inside), like=named(spec.like))
                self.specs.append(replace(renamed, role=named(spec.role) or spec.role))
                self.sources.append(None)
        return list(range(first, first + len(wanted)))

    def _single(self, part: str, wanted: tuple[ViewSpec, ...]) -> list[int]:
        others, numbers = {spec.role for spec in self.specs}, list[int]()
        for spec in wanted:
            one = replace(spec, count=1)
            same = (n for n, source in enumerate(self.sources) if source == one and n not in numbers)
            number = next(same, None)
            if number is None:
                number = len(self.specs)
                self.specs.append(replace(spec, role=f"{part}.{spec.role}" if spec.role in others else spec.role))
                self.sources.append(one)
            else:
                known = self.specs[number]
                self.specs[number] = replace(known, count=max(known.count, spec.count))
            numbers.append(number)
        return numbers


def _refresh(plans: Mapping[str, Plan]) -> Refresh | None:
    every = _agreed("whole-set passes", plans, lambda plan: plan.refresh.every if plan.refresh else None)
    starts = any(plan.refresh.at_start for plan in plans.values() if plan.refresh)
    return None if every is None else Refresh(every, starts)


def _agreed(what: str, plans: Mapping[str, Plan], need: Callable[[Plan], _T | None]) -> _T | None:
    """What all parts that need it need alike."""
    asked = {part: wanted for part, plan in plans.items() if (wanted := need(plan)) is not None}
    parts = list(asked)
    for part in parts[1:]:
        if asked[part] != asked[parts[0]]:
            raise ConfigError(
                f"{parts[0]} and {part} need different {what} ({asked[parts[0]]}, {asked[part]}): train them apart"
            )
    return asked[parts[0]] if parts else None


def _in_order(values: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(values))
