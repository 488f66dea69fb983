"""Whether an objective fits a domain and a backbone, told from declarations alone.

A mismatch is one line that says what is missing and which objectives fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ssl_platform.errors import ConfigError
from ssl_platform.plan import Plan
from ssl_platform.plugins.declarations import BackboneDeclaration, DomainDeclaration, ObjectiveDeclaration

NAMED = 6
"""Objectives an error names; the listing has the others."""
_GIVEN_BY_NAME = ("frozen", "backbone")  # models the user names; a domain need not supply them


def missing(plan: Plan, domain: DomainDeclaration | None, backbone: BackboneDeclaration | None = None) -> list[str]:
    """What an objective needs that is not offered, a few words each; empty when it fits.

    Args:
        plan: the objective's needs.
        domain: None leaves its side unchecked.
        backbone: None leaves its side unchecked.
    """
    return [*(_of_domain(plan, domain) if domain else ()), *(_of_backbone(plan, backbone, domain) if backbone else ())]


def _of_domain(plan: Plan, domain: DomainDeclaration) -> Iterable[str]:
    if plan.reads.relation not in domain.relations and plan.reads.relation != "table":
        yield f"reads related by {plan.reads.relation}"
    yield from (f"the part {part!r}" for part in plan.parts if part not in domain.parts)
    if plan.grid and domain.points:
        yield "items on a grid"
    for name, model in plan.models:
        if model.kind not in (*_GIVEN_BY_NAME, *domain.models):
            yield f"a {model.kind} model ({name})"
    if domain.channels is not None and domain.channels < plan.min_channels:
        yield f"at least {plan.min_channels} channels"
    if plan.pretext:
        kinds = {move.split(":")[0] for move in domain.moves}
        exact = [pretext for pretext in plan.pretext if pretext.split(":")[0] in kinds]
        if not exact:
            yield f"the move {' or '.join(plan.pretext)}"
        elif all(_is_symmetry(pretext, domain) for pretext in exact):
            yield f"a {' or '.join(exact)} whose answer can be told (here it is a symmetry)"


def _is_symmetry(pretext: str, domain: DomainDeclaration) -> bool:
    """A pretext cannot be solved when every plane in which the move is exact is one in which it changes no meaning."""
    kind, _, plane = pretext.partition(":")
    planes = [move for move in domain.moves if move.split(":")[0] == kind and (not plane or move == pretext)]
    return bool(planes) and all(move in domain.symmetries for move in planes)


def _of_backbone(plan: Plan, backbone: BackboneDeclaration, domain: DomainDeclaration | None) -> Iterable[str]:
    yield from (f"a backbone with {offer}" for offer in plan.offers if offer not in backbone.offers)
    if plan.grid and not backbone.tokens_grid:
        yield "a backbone whose tokens lie on a grid"
    if domain is not None and not encodes(backbone, domain):
        what = "point sets" if domain.points else f"grids of rank {domain.rank}"
        yield f"a backbone for {what}"


def encodes(backbone: BackboneDeclaration, domain: DomainDeclaration) -> bool:
    """Whether a backbone takes a domain's items."""
    return backbone.points if domain.points else domain.rank in backbone.ranks


def fitting(
    objectives: Iterable[ObjectiveDeclaration], domain: DomainDeclaration, backbone: BackboneDeclaration | None = None
) -> list[str]:
    """Names of the objectives that fit, sorted."""
    return sorted(o.name for o in objectives if not missing(o.needs, domain, backbone))


def check_fit(
    name: str,
    plan: Plan,
    domain: DomainDeclaration,
    backbone: BackboneDeclaration,
    objectives: Iterable[ObjectiveDeclaration],
) -> None:
    """Refuse what cannot run, before anything heavy loads.

    Args:
        name: the objective's.
        plan: its needs under the settings of the run.
        domain, backbone: what it is to run on.
        objectives: all there are, to name those that fit.

    Raises:
        ConfigError: one line with what is missing and which objectives fit.
    """
    gaps = missing(plan, domain, backbone)
    if gaps:
        names = fitting(objectives, domain, backbone)
        fit = ", ".join(names[:NAMED]) or "none"
        if len(names) > NAMED:
            fit += f" and {len(names) - NAMED} more (ssl-platform objectives --domain {domain.name})"
        raise ConfigError(
            f"objective {name!r} needs {', '.join(gaps)}, which domain {domain.name!r} with backbone "
            f"{backbone.name!r} does not offer; objectives that fit: {fit}"
        )


def check_given(name: str, plan: Plan, given: Mapping[str, str]) -> None:
    """Refuse models that are missing or that nobody asked for, before data is opened.

    Args:
        name: the objective's.
        plan: its needs.
        given: run or encoder file by the model's name.

    Raises:
        ConfigError: one line with the key to set.
    """
    wanted = [model for model, spec in plan.models if spec.kind == "frozen"]
    if unknown := sorted(set(given) - set(wanted)):
        takes = f"takes {', '.join(f'models.{w}' for w in wanted)}" if wanted else "takes no models"
        raise ConfigError(f"models.{unknown[0]}={given[unknown[0]]}: objective {name!r} {takes}")
    if lacking := [model for model in wanted if model not in given]:
        raise ConfigError(
            f"objective {name!r} needs a trained encoder: models.{lacking[0]}=RUN, a run folder or encoder file"
        )
