"""A run's backbone, objective and views from its configuration and its data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ssl_platform.config.schema import RunConfig
from ssl_platform.domain import Domain
from ssl_platform.encoder import build_backbone
from ssl_platform.errors import ConfigError
from ssl_platform.nn.backbone import Backbone, Normaliser
from ssl_platform.nn.spec import BackboneSpec
from ssl_platform.objectives.base import Objective, TrainingSet
from ssl_platform.objectives.load import load_objective
from ssl_platform.plan import Plan
from ssl_platform.train.given import make_models
from ssl_platform.train.scale import RunSize, shrink
from ssl_platform.types import Batch, View
from ssl_platform.views.maker import ViewMaker
from ssl_platform.views.sizes import view_size

STATISTICS_WINDOWS = 256


@dataclass
class Model:
    """What is trained.

    Attributes:
        backbone: the student, not yet normalising.
        objective: its class and settings are settled, its modules are made by `finish`.
        plan: its needs under those settings.
        maker: batch to views.
        window: cells read along each axis.
        lines: what was decided, for the user.
        given: run or file of each frozen model, by name.
    """

    backbone: Backbone
    objective: Objective
    plan: Plan
    maker: ViewMaker
    window: tuple[int, ...]
    lines: list[str] = field(default_factory=list)
    given: Mapping[str, str] = field(default_factory=dict)

    def finish(self, models: Mapping[str, nn.Module] | None = None) -> None:
        """Make the objective's modules on the backbone as it is now (initial weights are loaded before).

        Args:
            models: its further models; None loads and makes them.
        """
        if models is None:
            models = make_models(self.objective.name, self.plan, self.given, self.backbone)
        self.objective.build(self.backbone, models)


def window_of(config: RunConfig, domain: Domain, shapes: Sequence[Sequence[int]], lines: list[str]) -> tuple[int, ...]:
    """Resolve `data.window`: the domain's, but no larger than most items, rounded up to the patch."""
    rank = 1 if domain.layout.points else domain.layout.rank
    patch = patch_of(config, domain)
    if config.data.window == "auto":
        window = list(domain.window)
        middle = [sorted(shape[axis] for shape in shapes)[len(shapes) // 2] for axis in range(rank)]
        steps = patch if len(patch) == rank else (1,) * rank
        fitted = [min(w, -(-n // p) * p) for w, n, p in zip(window, middle, steps, strict=True)]
        why = f"default of {domain.name}" if fitted == window else f"the median item is {_by(middle)}"
        config.resolve("data.window", fitted, why)
        lines.append(f"data.window={fitted} ({why})")
    chosen = tuple(int(n) for n in config.data.window)
    if len(chosen) != rank:
        raise ConfigError(f"data.window={list(chosen)}: {domain.name} has {rank} axes {domain.layout.spatial}")
    return chosen


def patch_of(config: RunConfig, domain: Domain) -> tuple[int, ...]:
    """Cells of a token along each axis: `backbone.patch`, else the domain's."""
    patch = config.backbone.get("patch")
    if patch is None:
        return tuple(domain.patch)
    return (int(patch),) * domain.layout.rank if isinstance(patch, int) else tuple(int(p) for p in patch)


def assemble(
    config: RunConfig,
    domain: Domain,
    channels: Sequence[str],
    window: tuple[int, ...],
    size_of_run: Callable[[Backbone], RunSize],
) -> Model:
    """Build the backbone, settle the objective's settings, make the view maker.

    Args:
        config: the objective's settings are shrunk in place (see `scale`).
        domain: gives layout, patch and its own view operations.
        channels: of all items.
        window: base window.
        size_of_run: what `scale=auto` looks at, given the backbone.

    Raises:
        ConfigError: a setting is wrong, or the objective's needs are not met.
    """
    kind = load_objective(str(config.objective["name"]))
    patch = patch_of(config, domain)
    plan = kind.plan(kind.Config(**config.objective_settings))
    lines = _settle_zoom(config, domain, plan)
    views = config.views
    size = view_size(plan.views[0], views, domain.layout, window, patch)
    torch.manual_seed(config.seed)
    settings = {k: v for k, v in config.backbone.items() if k not in ("name", "patch")}
    spec = BackboneSpec(str(config.backbone["name"]), domain.layout, tuple(channels), size, patch, settings)
    backbone = build_backbone(spec)
    run = size_of_run(backbone)
    lines += shrink(config, kind.Config(**config.objective_settings).model_dump(), run)
    objective = kind(kind.Config(**config.objective_settings))
    objective.data = TrainingSet(run.windows, run.classes)
    plan = kind.plan(objective.config)
    lacking = [offer for offer in plan.offers if offer not in backbone.offers]
    if lacking:
        raise ConfigError(
            f"objective {kind.name!r} needs a backbone that offers {', '.join(lacking)}; "
            f"{config.backbone['name']} offers {', '.join(sorted(backbone.offers)) or 'none of them'}"
        )
    if len(channels) < plan.min_channels:
        raise ConfigError(
            f"objective {kind.name!r} needs at least {plan.min_channels} channels, the data has {len(channels)}: "
            f"{', '.join(channels)}"
        )
    maker = ViewMaker(
        domain.layout,
        plan,
        views,
        tuple(domain.views()),
        config.seed,
        window=window,
        size_multiple=patch,
        windows_per_item=config.data.windows_per_item,
        batch_size=int(config.data.batch_size),
        dtype=torch.float64 if config.trainer.precision == "64" else torch.float32,
    )
    return Model(backbone, objective, plan, maker, tuple(maker.read_size), lines, config.models)


def views_of(config: RunConfig) -> int:
    """How many views the objective makes of a sample."""
    kind = load_objective(str(config.objective["name"]))
    return _count(kind.plan(kind.Config(**config.objective_settings)))


def _count(plan: Plan) -> int:
    return sum(spec.count for spec in plan.views if not spec.clean)


def _settle_zoom(config: RunConfig, domain: Domain, plan: Plan) -> list[str]:
    """Resolve `views.zoom`; the line to print where it turns scaling off."""
    if config.views.zoom != "auto":
        return []
    if any(spec.inside for spec in plan.views):
        config.resolve("views.zoom", True, "a crop inside another one differs from it in scale")
        return []
    compared = _count(plan) > 1
    why = f"compared views of {domain.name} keep their resolution: a size means something"
    config.resolve("views.zoom", not (domain.true_size and compared), why if compared else "views are not compared")
    return [] if config.views.zoom else [f"views.zoom=False ({why})"]


@torch.no_grad()
def fit_normaliser(backbone: Backbone, batches: Iterable[Batch], clean: Callable[[Batch], View]) -> int:
    """Learn the first layer's statistics from valid cells of clean views; return the number of windows seen.

    Sums are taken in float64 relative to a first guess of the mean, so that large offsets (HU, DN) lose no digits.
    """
    normaliser = backbone.normaliser
    if not isinstance(normaliser, Normaliser):
        return 0
    names = normaliser.channels
    count, total, square = (torch.zeros(len(names), dtype=torch.float64) for _ in range(3))
    guess: Tensor | None = None
    seen = 0
    for batch in batches:
        view = clean(batch)
        x, weight = _cells(view, normaliser.points)
        rows = torch.tensor([names.index(c) for c in view.channels]) if view.channels else torch.arange(x.shape[0])
        if guess is None:
            guess = torch.zeros(len(names), dtype=torch.float64)
            guess[rows] = (x * weight).sum(1) / weight.sum(1).clamp_min(1)
        off = (x - guess[rows, None]) * weight
        count.index_add_(0, rows, weight.sum(1))
        total.index_add_(0, rows, off.sum(1))
        square.index_add_(0, rows, off.square().sum(1))
        seen += len(batch)
        if seen >= STATISTICS_WINDOWS:
            break
    if guess is None:
        return 0
    n = count.clamp_min(1)
    mean = guess + total / n
    std = (square / n - (total / n).square()).clamp_min(0).sqrt()
    std = torch.where(std > 0, std, torch.ones_like(std))
    normaliser.set(mean.float(), std.float())
    return seen


def _cells(view: View, points: bool) -> tuple[Tensor, Tensor]:
    """Values and weights `[C, cells]` of a view, float64 (invalid ones weigh nothing)."""
    x = view.x.movedim(-1, 1) if points else view.x
    weight = torch.ones_like(x, dtype=torch.bool)
    if view.valid is not None:
        weight = weight & view.valid[:, None]
    if view.channel_valid is not None:
        weight = weight & view.channel_valid.view(*view.channel_valid.shape, *[1] * (x.ndim - 2))
    x = torch.where(weight, x, torch.zeros_like(x))
    return x.transpose(0, 1).flatten(1).double(), weight.transpose(0, 1).flatten(1).double()


def _by(shape: Sequence[int]) -> str:
    return "x".join(str(n) for n in shape)
