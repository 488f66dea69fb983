"""A step under Lightning's Trainer: its defaults that would break accumulation, EMA, overflow and resume do not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ssl_platform.objectives.base import Objective, ObjectiveConfig, Player
from ssl_platform.plan import Plan
from ssl_platform.testing.objectives import small, small_backbone
from ssl_platform.train.optim import OptimPlan
from ssl_platform.types import Loss, Step

Fit = Callable[..., Any]


class Probe(Objective):
    """Mean of a linear head; notes every hook it gets. `trouble(step)` is added to the loss of that step."""

    name, family, needs, Config = "probe", "masked", Plan.single(), ObjectiveConfig

    def build(self, backbone: Any, models: Any) -> None:
        self.head = nn.Linear(backbone.embed_dim, 1)
        self.register_buffer("moved", torch.zeros(()))
        self.calls: list[tuple[str, int]] = []
        self.trouble: Callable[[int], float] = lambda step: 0.0
        self.now = 0

    def before_step(self, step: Step) -> None:
        self.now = step.step
        self.calls.append(("before", step.step))

    def forward(self, backbone: Any, views: Any) -> Loss:
        out = self.head(backbone(views[0]).pooled)
        return Loss(out.square().mean() + self.trouble(self.now) * out.mean(), watch={"out": out})

    def after_backward(self, step: Step) -> None:
        self.calls.append(("backward", step.step))

    def after_step(self, step: Step, backbone: Any, watch: list[dict[str, Tensor]], views: list[Any]) -> None:
        self.calls.append(("after", step.step))
        self.moved += 1
        self.micro = (len(watch), len(views), tuple(views[0][0].x.shape))


def test_hooks_and_schedules_count_optimiser_steps_under_accumulation(fit_module: Fit) -> None:
    probe, seen = Probe(), []
    plan = OptimPlan(lr=1e-2, warmup=2, weight_decay=0.1, weight_decay_start=0.0)

    def watch(module: Any) -> None:
        module.reports = lambda report: seen.append(
            (
                report.step,
                module.optimizers().param_groups[0]["lr"],
                module.optimizers().param_groups[0]["weight_decay"],
            )
        )

    module = fit_module(probe, steps=4, accumulate=3, plan=plan, before=watch)
    assert [step for step, _, _ in seen] == [1, 2, 3, 4]
    for done, (_, lr, decay) in enumerate(seen):
        assert lr == pytest.approx(plan.lr_at(done, 4)) and decay == pytest.approx(0.1 * done / 4)
    assert [lr for _, lr, _ in seen][:2] == pytest.approx([5e-3, 1e-2])
    expected = [(name, step) for step in range(4) for name in ("before", "backward", "after")]
    assert probe.calls == expected
    assert probe.micro[:2] == (3, 3) and probe.micro[2][1] == 0, "views reach after_step without pixels"
    assert module.handed == 13, "Lightning reads one batch ahead: a loader's position is not the run's"
    assert module.steps_done == 4


def test_accumulation_is_the_mean_over_micro_batches(fit_module: Fit) -> None:
    plan = OptimPlan(name="sgd", lr=0.1, weight_decay=0.0, momentum=0.0, clip=None)
    start = small_backbone()
    nets = [copy.deepcopy(start) for _ in range(2)]
    split = fit_module(small("mae"), steps=2, accumulate=2, batch=4, plan=plan, backbone=nets[0])
    whole = fit_module(small("mae"), steps=2, accumulate=1, batch=8, plan=plan, backbone=nets[1])
    for (name, a), b in zip(split.backbone.named_parameters(), whole.backbone.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-6, rtol=1e-4, msg=name)


def test_the_teacher_moves_once_an_optimiser_step(fit_module: Fit) -> None:
    method, tracks = small("byol", momentum=0.9), []

    def watch(module: Any) -> None:
        teacher = [p.detach().clone() for p in method.teacher.backbone.parameters()]
        done = {"teacher": teacher}

        def after(report: Any) -> None:
            from ssl_platform.schedules import cosine

            m = cosine(0.9, 1.0, (report.step - 1) / 3)
            done["teacher"] = [
                m * t + (1 - m) * p for t, p in zip(done["teacher"], module.backbone.parameters(), strict=True)
            ]
            pairs = zip(done["teacher"], method.teacher.backbone.parameters(), strict=True)
            tracks.append(max(float((a - b).detach().abs().max()) for a, b in pairs))

        module.reports = after

    fit_module(method, steps=3, accumulate=2, before=watch)
    assert len(tracks) == 3 and max(tracks) < 1e-6


def test_an_overflowed_fp16_step_moves_nothing(fit_module: Fit) -> None:
    from lightning.pytorch.plugins import MixedPrecision

    probe, seen = Probe(), []
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40, growth_interval=1000)
    plugin = MixedPrecision("16-mixed", "cpu", scaler=scaler)
    state: dict[str, list[Tensor]] = {}

    def watch(module: Any) -> None:
        def weights() -> list[Tensor]:
            return [p.detach().clone() for p in module.parameters()]

        state["last"] = weights()

        def after(report: Any) -> None:
            new = weights()
            same = all(torch.equal(a, b) for a, b in zip(state["last"], new, strict=True))
            state["last"] = new
            seen.append((report.moved, same, float(probe.moved)))

        module.reports = after

    # 2^40 overflows in half precision until the scaler has halved it often enough
    module = fit_module(probe, steps=40, plugins=[plugin], batch=2, before=watch)
    overflowed = [entry for entry in seen if not entry[0]]
    moved = [entry for entry in seen if entry[0]]
    assert overflowed and moved
    assert all(same for _, same, _ in overflowed) and seen[-1][2] == len(moved)
    assert not any(same for _, same, _ in moved)
    assert module.skipped_in_a_row == 0, "overflow is the scaler's business, not a failure"
    assert [name for name, _ in probe.calls].count("after") == len(moved)


def test_a_step_that_is_not_finite_moves_nothing_and_the_run_goes_on(fit_module: Fit) -> None:
    probe, seen = Probe(), []

    def watch(module: Any) -> None:
        probe.trouble = lambda step: float("nan") if step == 1 else 0.0
        previous = {"state": copy.deepcopy(module.state_dict())}

        def after(report: Any) -> None:
            now = copy.deepcopy(module.state_dict())
            same = all(torch.equal(now[k], previous["state"][k]) for k in now)
            moments = [s["exp_avg"].isfinite().all() for s in module.optimizers().state.values()]
            steps = {float(s["step"]) for s in module.optimizers().state.values()}
            seen.append((report.moved, same, all(moments), steps))
            previous["state"] = now

        module.reports = after

    fit_module(probe, steps=3, before=watch)
    assert [moved for moved, *_ in seen] == [True, False, True]
    assert [same for _, same, *_ in seen] == [False, True, False]
    assert all(finite for *_, finite, _ in seen)
    assert [steps for *_, steps in seen] == [{1.0}, {1.0}, {2.0}], "Adam's own count stands still too"
    assert [step for name, step in probe.calls if name == "after"] == [0, 2]


def test_skips_are_counted_in_a_row(fit_module: Fit) -> None:
    probe, rows = Probe(), []

    def watch(module: Any) -> None:
        probe.trouble = lambda step: float("inf") if step in (0, 1, 3) else 0.0
        module.on_skip = rows.append

    fit_module(probe, steps=5, before=watch)
    assert rows == [1, 2, 1]


def test_clipping_is_per_player(fit_module: Fit) -> None:
    norms: dict[str, list[float]] = {"main": [], "head": []}

    class Two(Probe):
        def players(self, backbone: Any) -> list[Player]:
            head = list(self.head.parameters())
            return [Player("main", list(backbone.parameters())), Player("head", head, clip=1e-3)]

        def forward(self, backbone: Any, views: Any) -> Loss:
            return Loss(1e3 * super().forward(backbone, views).total)

    def watch(module: Any) -> None:
        def note(report: Any) -> None:
            for player in module.players:
                grads = [p.grad.norm() for p in player.parameters if p.grad is not None]
                norms[player.name].append(float(torch.stack(grads).norm()))

        module.reports = note

    fit_module(Two(), steps=2, plan=OptimPlan(lr=1e-3, clip=0.5), before=watch)
    assert norms["main"] == pytest.approx([0.5, 0.5], rel=1e-3)
    assert norms["head"] == pytest.approx([1e-3, 1e-3], rel=1e-2)


def test_a_player_that_is_not_active_does_not_move(fit_module: Fit) -> None:
    class Late(Probe):
        def players(self, backbone: Any) -> list[Player]:
            head = Player("head", list(self.head.parameters()), active=lambda step: step.step >= 2)
            return [Player("main", list(backbone.parameters())), head]

    probe, weights = Late(), []

    def watch(module: Any) -> None:
        module.reports = lambda report: weights.append(probe.head.weight.detach().clone())

    fit_module(probe, steps=4, before=watch)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2]) and not torch.equal(weights[2], weights[3])


def test_dropout_depends_on_seed_and_step_only(fit_module: Fit) -> None:
    runs = []
    for disturbance in (1, 2):
        torch.manual_seed(disturbance)
        net = small_backbone(drop_path=0.5)
        torch.manual_seed(7)
        net.load_state_dict(small_backbone(drop_path=0.5).state_dict())
        module = fit_module(Probe(), steps=2, backbone=net, before=lambda m, d=disturbance: torch.manual_seed(d))
        runs.append([p.detach().clone() for p in module.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))
