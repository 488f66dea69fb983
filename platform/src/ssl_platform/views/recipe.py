"""A plan compiled into one recipe for each view: what is drawn, from which stream, and what it follows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.errors import ConfigError, did_you_mean
from ssl_platform.plan import Plan, ViewSpec
from ssl_platform.types import Layout
from ssl_platform.views.crop_rule import CropRule
from ssl_platform.views.fields import FieldShift
from ssl_platform.views.points import DROPOUT, JITTER, PointRule
from ssl_platform.views.sizes import view_scale, view_size
from ssl_platform.views.symmetry import allows, axes, planes


@dataclass(frozen=True)
class ViewRecipe:
    """One view of the plan.

    Attributes:
        name: `role/copy`, the key of its draws.
        spec: the plan's words.
        size: cells along each axis, `(points,)` for point sets.
        rule: how its crops are drawn.
        photometric: whether intensity operations apply.
        geometry: name of the view whose crop is taken; its own name when it draws one.
        photometry: name of the view whose intensity draws are taken; its own name when it has its own.
        parent: name of the view it lies inside, or None.
        first: name of the view it must overlap, or None.
        points: what is done to points, or None for grids.
    """

    name: str
    spec: ViewSpec
    size: tuple[int, ...]
    rule: CropRule
    photometric: bool
    geometry: str
    photometry: str
    parent: str | None = None
    first: str | None = None
    points: PointRule | None = None

    @property
    def follows(self) -> tuple[str, ...]:
        """Views whose crops must be drawn before this one's."""
        others = (self.parent, self.first, self.geometry)
        return tuple(name for name in others if name is not None and name != self.name)


def compile_plan(
    plan: Plan, config: ViewsConfig, layout: Layout, window: Sequence[int], multiple: int | Sequence[int] = 1
) -> tuple[ViewRecipe, ...]:
    """The recipes of a plan's views, in its order.

    Raises:
        ConfigError: a size or scale cannot be used, or a view refers to a role that is not in the plan.
    """
    roles: dict[str, list[str]] = {}
    named = []
    for spec in plan.views:
        for _ in range(spec.count):
            copies = roles.setdefault(spec.role, [])
            copies.append(f"{spec.role}/{len(copies)}")
            named.append((copies[-1], spec))
    recipes = [_recipe(name, spec, config, layout, window, multiple) for name, spec in named]
    by_name = {r.name: r for r in recipes}
    linked = tuple(_linked(r, roles, by_name, layout) for r in recipes)
    return _sharing(linked) if config.recipe == "shared" else linked


def in_order(recipes: Sequence[ViewRecipe]) -> Iterator[ViewRecipe]:
    """The recipes so that each comes after those it follows.

    Raises:
        ConfigError: views follow each other in a circle.
    """
    waiting, done = list(recipes), set[str]()
    while waiting:
        ready = [r for r in waiting if done.issuperset(r.follows)]
        if not ready:
            circle = ", ".join(r.name for r in waiting)
            raise ConfigError(f"the views {circle} wait for each other: break the circle of inside= and like=")
        yield from ready
        done |= {r.name for r in ready}
        waiting = [r for r in waiting if r.name not in done]


def clean_recipe(size: tuple[int, ...], layout: Layout, part: str, read: int = 0) -> ViewRecipe:
    """A centre crop at scale one, or all points, with nothing drawn but which points."""
    spec = ViewSpec(role="clean", clean=True, photometric=False, flips=False, part=part, read=read)
    cells = (1,) * layout.rank if layout.points else size
    rule = CropRule(cells, scaled=(False,) * layout.rank, centred=True)
    points = PointRule(rule, size[0]) if layout.points else None
    return ViewRecipe("clean/0", spec, size, rule, False, "clean/0", "clean/0", points=points)


def _recipe(
    name: str,
    spec: ViewSpec,
    config: ViewsConfig,
    layout: Layout,
    window: Sequence[int],
    multiple: int | Sequence[int],
) -> ViewRecipe:
    size = view_size(spec, config, layout, window, multiple)
    if config.crops_only:
        spec = replace(spec, photometric=False, flips=False)
    if spec.clean:
        return replace(clean_recipe(size, layout, spec.part), name=name, spec=spec, geometry=name, photometry=name)
    cells = (1,) * layout.rank if layout.points else size
    scalable = set(axes(layout, "scale")) if config.scales else set()
    turns = spec.flips and "rotate" not in config.off and config.rotate > 0
    quarters = planes(layout, "rot90") if spec.flips and "rot90" not in config.off and not layout.points else ()
    rule = CropRule(
        size=cells,
        scale=view_scale(spec, config),
        scaled=tuple(a in scalable for a in range(layout.rank)),
        flips=axes(layout, "flip") if spec.flips and "flip" not in config.off else (),
        quarters=tuple((a, b) for a, b in quarters if cells[a] == cells[b]),
        planes=planes(layout, "rotate") if turns else (),
        degrees=config.rotate,
    )
    points = None
    if layout.points:
        noisy = spec.photometric and allows(layout, "noise") and "noise" not in config.off
        dropped = spec.photometric and allows(layout, "cutout") and "cutout" not in config.off
        shifted = spec.photometric and allows(layout, "scale") and FieldShift.name not in config.off
        points = PointRule(
            crop=rule,
            count=size[0],
            zoom=bool(scalable) and spec.flips,
            jitter=JITTER * config.strength if noisy else 0.0,
            dropout=min(0.9, DROPOUT * config.strength) if dropped else 0.0,
            shift=config.fields * config.strength if shifted else 0.0,
            gamma=config.fields_gamma,
        )
    return ViewRecipe(name, spec, size, rule, spec.photometric, name, name, points=points)


def _linked(
    recipe: ViewRecipe, roles: dict[str, list[str]], by_name: dict[str, ViewRecipe], layout: Layout
) -> ViewRecipe:
    """The recipe with the views it follows."""
    spec, copy = recipe.spec, int(recipe.name.rsplit("/", 1)[1])
    if spec.like is not None:
        names = _copies(spec.like, roles, spec)
        other = by_name[names[copy % len(names)]]
        if spec.like_what in ("geometry", "both"):
            swapped = [(a, b) for a, b in other.rule.quarters if not layout.points]
            if any(recipe.size[a] != recipe.size[b] for a, b in swapped):
                raise ConfigError(f"views {spec.role!r} copy quarter turns of {spec.like!r} and must be as square")
            recipe = replace(recipe, geometry=other.name, rule=other.rule)
        if spec.like_what in ("photometry", "both"):
            recipe = replace(recipe, photometry=other.name, photometric=other.photometric)
    elif spec.inside is not None:
        parent = by_name[_copies(spec.inside, roles, spec)[0]]
        rule = replace(recipe.rule, planes=(), quarters=())
        recipe = replace(recipe, parent=parent.name, rule=rule)
    elif spec.overlap is not None and copy > 0:
        recipe = replace(recipe, first=f"{spec.role}/0")
    return recipe


def _sharing(recipes: tuple[ViewRecipe, ...]) -> tuple[ViewRecipe, ...]:
    """All views of a sample with one draw of intensities: the first augmented view's."""
    first = next((r.name for r in recipes if r.photometric), None)
    return tuple(replace(r, photometry=first) if r.photometric and first else r for r in recipes)


def _copies(role: str, roles: dict[str, list[str]], spec: ViewSpec) -> list[str]:
    if role not in roles:
        hint = did_you_mean(role, roles)
        raise ConfigError(f"views {spec.role!r} refer to the role {role!r}, which the plan does not have{hint}")
    return roles[role]
