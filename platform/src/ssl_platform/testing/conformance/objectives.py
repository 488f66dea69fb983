"""Checks of objectives a plugin brings, on toy domains: signals, images, volumes and point sets."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import torch
from torch import nn

from ssl_platform.config.schema import RunConfig
from ssl_platform.nn.backbone import Backbone
from ssl_platform.objectives.base import Objective, TrainingSet, total_of
from ssl_platform.objectives.load import load_objective
from ssl_platform.objectives.manifest import record_of
from ssl_platform.plan import Plan
from ssl_platform.plugins import ObjectiveDeclaration, missing, registry
from ssl_platform.testing.conformance.check import Check, NotApplicable, Violation
from ssl_platform.testing.conformance.gradients import STEPS, trained
from ssl_platform.testing.conformance.subject import BATCH
from ssl_platform.testing.conformance.toys import BACKBONE, SIZE, TOYS, Toy
from ssl_platform.testing.fit import fit
from ssl_platform.testing.given import random_models
from ssl_platform.testing.sync import SyncError, forbid_sync
from ssl_platform.testing.toy import toy_batch
from ssl_platform.train.scale import RunSize, shrink
from ssl_platform.types import Step, View, Views
from ssl_platform.views.maker import ViewMaker

STEP = Step(5, 10, 1, BATCH, 1e-3)
CLASSES = 4  # of the toys


def checks(declaration: ObjectiveDeclaration) -> Iterator[Check]:
    """Checks of one objective."""
    subject = f"objective {declaration.name}"
    here = [toy for toy in TOYS if not _gaps(declaration, toy)]
    yield Check(
        "objective.record", subject, "what is declared is what the class says", functools.partial(record, declaration)
    )
    for toy in TOYS:
        about = f"{STEPS} finite steps on {toy.name}, with a gradient in every parameter"
        yield Check(f"steps.{toy.name}", subject, about, functools.partial(steps, declaration, toy))
    for name, about, run in (
        ("objective.repeat", "the same seed gives the same loss", repeat),
        ("objective.state", "forward changes no state but running statistics", state),
        ("objective.restore", "the state dict restores the next loss", restore),
        ("objective.invalid", "what invalid cells hold changes no loss", invalid),
        ("objective.sync", "forward and backward never make the host wait", sync),
        ("objective.export", "the encoder it exports gives features", export),
    ):
        yield Check(name, subject, about, functools.partial(_on_one, run, declaration, here))


def _gaps(declaration: ObjectiveDeclaration, toy: Toy) -> list[str]:
    return missing(declaration.needs, toy.declaration, registry().backbone(BACKBONE))


def _on_one(
    run: Callable[[ObjectiveDeclaration, Toy], str | None], declaration: ObjectiveDeclaration, toys: list[Toy]
) -> str | None:
    if not toys:
        raise NotApplicable("fits no toy domain")
    toy = next((t for t in toys if t.rank == 2), toys[0])
    return run(declaration, toy)


def record(declaration: ObjectiveDeclaration) -> str:
    """The shipped record against one written now."""
    kind = load_objective(declaration.name)
    if not issubclass(kind, Objective):
        raise Violation(f"{declaration.factory} is no Objective", "derive it from ssl_platform.api.Objective")
    now = ObjectiveDeclaration.from_record(record_of(kind))
    for field in ("name", "family", "needs", "settings", "paper", "summary"):
        if getattr(now, field) != getattr(declaration, field):
            raise Violation(
                f"the declared {field} is not the class's",
                "write the record with ssl_platform.objectives.manifest.record_of(YourObjective) and ship that",
            )
    return f"{len(now.settings)} settings"


def _made(declaration: ObjectiveDeclaration, toy: Toy, built: bool = True) -> tuple[Objective, Backbone, ViewMaker]:
    """The objective at the smallest scale on a toy, its backbone and its views."""
    if gaps := _gaps(declaration, toy):
        raise NotApplicable(f"needs {', '.join(gaps)}")
    torch.manual_seed(0)
    kind = load_objective(declaration.name)
    config = RunConfig(objective={"name": declaration.name}, scale="tiny")
    shrink(config, kind.Config().model_dump(), RunSize(4 * BATCH, BATCH, STEPS, 0, 2, False))
    objective = kind(kind.Config(**config.objective_settings))
    plan: Plan = objective.plan(objective.config)
    others = [name for name, model in plan.models if model.kind not in ("backbone", "frozen")]
    if others:
        raise NotApplicable(f"needs the model {others[0]!r}")
    backbone = toy.backbone()
    objective.data = TrainingSet(windows=4 * BATCH, classes=CLASSES)
    if built:
        objective.build(backbone, random_models(plan, backbone))
    return objective, backbone, ViewMaker(toy.layout, plan, toy.views, seed=0, window=toy.window, batch_size=BATCH)


def _views(maker: ViewMaker, toy: Toy, number: int = 0) -> Views:
    return maker(toy.batch(number, maker.plan.reads.count))


def steps(declaration: ObjectiveDeclaration, toy: Toy) -> str:
    """A few steps of training."""
    objective, backbone, maker = _made(declaration, toy)
    reads = maker.plan.reads.count
    everything = toy_batch(4 * BATCH, toy.rank, SIZE, 2, points=toy.points, reads=reads)

    def some(count: int) -> list[float]:
        return fit(
            objective,
            backbone,
            toy.layout,
            lambda number: toy.batch(number, reads),
            count,
            window=toy.window,
            items=everything,
            build=False,
            maker=maker,
        ).losses

    return trained(objective, backbone, some)


def repeat(declaration: ObjectiveDeclaration, toy: Toy) -> str:
    """Built twice alike; torch's generator then stands elsewhere. Dropout is off: it may use it."""
    losses = []
    for seed in (1, 2):
        objective, backbone, maker = _made(declaration, toy)
        for module in (*objective.modules(), *backbone.modules()):
            if isinstance(module, nn.Dropout | nn.AlphaDropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d):
                module.p = 0.0
        torch.manual_seed(seed)
        objective.before_step(STEP)
        losses.append(float(total_of(objective(backbone, _views(maker, toy))).total.detach()))
    if losses[0] != losses[1]:
        raise Violation(
            f"the loss is {losses[0]:.6g}, then {losses[1]:.6g}",
            "draw masks and noise from view.random, never from torch's generator",
        )
    return f"loss {losses[0]:.4g}"


def state(declaration: ObjectiveDeclaration, toy: Toy) -> None:
    """Everything held before and after a forward pass."""
    objective, backbone, maker = _made(declaration, toy)
    objective.before_step(STEP)
    before = {k: v.clone() for module in (objective, backbone) for k, v in module.state_dict().items()}
    objective(backbone, _views(maker, toy))
    after = {k: v for module in (objective, backbone) for k, v in module.state_dict().items()}
    changed = [k for k in before if not torch.equal(before[k], after[k])]
    kept = [k for k in changed if "running" not in k and "num_batches" not in k]
    if kept:
        raise Violation(f"forward changes {kept[0]}", "change queues, centres and teachers in after_step()")


def restore(declaration: ObjectiveDeclaration, toy: Toy) -> None:
    """A copy given the state of one that was trained."""
    objective, backbone, maker = _made(declaration, toy)
    reads = maker.plan.reads.count
    everything = toy_batch(4 * BATCH, toy.rank, SIZE, 2, points=toy.points, reads=reads)
    fit(
        objective, backbone, toy.layout, lambda n: toy.batch(n, reads), 3,
        window=toy.window, items=everything, build=False, maker=maker,
    )  # fmt: skip
    copy, copied_backbone, _ = _made(declaration, toy)
    copy.load_state_dict(objective.state_dict())
    copied_backbone.load_state_dict(backbone.state_dict())
    losses = []
    for method, net in ((objective, backbone), (copy, copied_backbone)):
        method.train()
        net.train()
        method.before_step(STEP)
        losses.append(float(total_of(method(net, _views(maker, toy, 3))).total.detach()))
    if losses[0] != losses[1]:
        raise Violation(
            f"the loss is {losses[0]:.6g}, after loading its state {losses[1]:.6g}",
            "keep state in parameters and buffers, not in attributes",
        )


def invalid(declaration: ObjectiveDeclaration, toy: Toy) -> None:
    """A hole with other values in it."""
    losses = []
    for value in (0.0, 7.0):
        objective, backbone, maker = _made(declaration, toy)
        objective.before_step(STEP)
        batch = toy.batch(0, maker.plan.reads.count)
        for read in batch.reads:
            valid = torch.ones((BATCH, *toy.window), dtype=torch.bool)
            valid[..., -valid.shape[-1] // 4 :] = False
            read["main"].valid = valid
        views = Views([_filled(view, value, toy.points) for view in maker(batch)])
        losses.append(float(total_of(objective(backbone, views)).total.detach()))
    if losses[0] != losses[1]:
        raise Violation(
            f"the loss is {losses[0]:.6g} or {losses[1]:.6g} with what invalid cells hold",
            "use tokens.valid, Mask.valid and target_valid; average with losses.masked.masked_mean",
        )


def _filled(view: View, value: float, points: bool) -> View:
    """The view with a value in its invalid cells."""
    if view.valid is None:
        return view
    keep = view.valid[..., None] if points else view.valid[:, None]
    return view.replace(x=torch.where(keep, view.x, torch.full((), value)))


def sync(declaration: ObjectiveDeclaration, toy: Toy) -> None:
    """No value read back in forward and backward."""
    objective, backbone, maker = _made(declaration, toy)
    if maker.plan.host_solver:
        raise NotApplicable("declares host_solver")
    objective.before_step(STEP)
    views = _views(maker, toy)
    try:
        with forbid_sync():
            total_of(objective(backbone, views)).total.backward()
    except SyncError as error:
        raise Violation(str(error), "write it in tensor operations, or declare Plan(host_solver=True)") from None


def export(declaration: ObjectiveDeclaration, toy: Toy) -> str:
    """What the run's result will be."""
    objective, backbone, maker = _made(declaration, toy)
    found = objective.export(backbone)
    with torch.no_grad():
        pooled = found.encoder.eval()(maker.clean(toy.batch())).pooled
    if not pooled.isfinite().all() or pooled.shape[0] != BATCH:
        raise Violation(f"the exported encoder gives {tuple(pooled.shape)}", "export the backbone or its teacher")
    return f"{pooled.shape[1]} dimensions; parts: {', '.join(found.parts or {}) or 'none'}"
