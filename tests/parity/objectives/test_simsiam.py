"""Card 221. What it learns against random weights is a row of the learning table; several processes: tests/ddp."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ssl_platform.losses import negative_cosine
from ssl_platform.measures import dimension_std, effective_rank
from ssl_platform.objectives.base import total_of
from ssl_platform.objectives.distillation.simsiam import SimSiam
from ssl_platform.objectives.teacher import Teacher
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.train.optim import OptimPlan, build, groups, schedule


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_parallel_outputs_reach_minus_one_and_targets_are_held_still() -> None:
    method = small("simsiam")
    assert isinstance(method, SimSiam)
    p = [random(8, 4, seed=seed).requires_grad_() for seed in range(2)]
    z = [(2.5 * other.detach()).requires_grad_() for other in reversed(p)]
    loss = method.agreement(p, z)
    assert loss.item() == pytest.approx(-1)
    assert (
        torch.autograd.grad(method.agreement(p, [random(8, 4, seed=5), z[1]]), [*p, z[1]], allow_unused=True)[2] is None
    )
    free = small("simsiam", stop_gradient=False)
    assert isinstance(free, SimSiam)
    z = [random(8, 4, seed=7 + seed).requires_grad_() for seed in range(2)]
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(free.agreement(p, z), z))


def test_parity_with_lightly() -> None:
    theirs = pytest.importorskip("lightly.loss").NegativeCosineSimilarity()
    p, z = random(16, 8).requires_grad_(), random(16, 8, seed=1)
    torch.testing.assert_close(negative_cosine(p, z), theirs(p, z))
    torch.testing.assert_close(torch.autograd.grad(negative_cosine(p, z), p), torch.autograd.grad(theirs(p, z), p))


def test_is_byol_without_momentum() -> None:
    """With a teacher that is the student now, BYOL's loss is 4 + 4 L and its gradient four times this one's."""
    torch.manual_seed(0)
    method, backbone = small("simsiam"), small_backbone()
    method.build(backbone, {})
    byol = small("byol", momentum=0.0)
    byol.build(backbone, {})
    byol.projector, byol.predictor = method.projector, method.predictor
    byol.teacher = Teacher(backbone, {"projector": method.projector})
    for module in (method, byol, backbone):
        module.double().train()
    views = [v.replace(x=v.x.double()) for v in small_views(method, toy_batch(8))]
    parameters = [p for player in method.players(backbone) for p in player.parameters]
    found = []
    for objective in (method, byol):
        loss = total_of(objective(backbone, views)).total
        found.append((loss, torch.autograd.grad(loss, parameters)))
    (ours, mine), (theirs, yours) = found
    torch.testing.assert_close(theirs, 4 * ours)  # ours is 1 + L
    for a, b in zip(mine, yours, strict=True):
        torch.testing.assert_close(b, 4 * a)


def test_the_predictors_learning_rate_stays_where_the_encoders_falls_to_nothing() -> None:
    method, backbone = small("simsiam"), small_backbone()
    method.build(backbone, {})
    plan = OptimPlan(name="sgd", lr=0.1, warmup=2)
    named = [*backbone.named_parameters(), *method.named_parameters()]
    optimizer = build(plan, groups(method.players(backbone), named))
    rates: dict[str, list[float]] = {"main": [], "predictor": []}
    for step in (0, 1, 5, 99, 100):
        schedule(optimizer, plan, step, 100)
        for name in rates:
            rates[name].append(next(g["lr"] for g in optimizer.param_groups if g["player"] == name))
    assert rates["predictor"] == [0.05, 0.1, 0.1, 0.1, 0.1]
    assert rates["main"][1] == 0.1 and rates["main"][3] < 1e-4 and rates["main"][4] == pytest.approx(0, abs=1e-12)
    decaying = small("simsiam", constant_predictor_lr=False)
    decaying.build(backbone, {})
    assert not any(player.constant for player in decaying.players(backbone))


@pytest.mark.slow
def test_without_stop_gradient_it_collapses_and_with_it_not() -> None:
    """Outputs have zero mean and unit variance by their last normalisation, so collapse leaves two opposite points.

    That is one direction of the 32; the spread of unit-length outputs, which the card asks for, then stays near
    1/sqrt(d) in exact arithmetic.
    """

    def run(stop: bool) -> tuple[Tensor, float]:
        torch.manual_seed(0)
        method, backbone = small("simsiam", stop_gradient=stop), small_backbone(depth=1)
        batches = lambda n: toy_batch(32, start=32 * n)  # noqa: E731
        done = fit(method, backbone, toy_layout(2), batches, 150, window=(16, 16), lr=1e-2)
        assert done.views is not None
        with torch.no_grad():
            return method.projector(backbone(done.views[0]).pooled), done.losses[-1]

    (kept, loss), (lost, perfect) = run(True), run(False)
    assert float(dimension_std(kept).mean()) > 0.5 / kept.shape[1] ** 0.5
    assert effective_rank(kept, centre=True) > 3 and loss > 0.01
    assert effective_rank(lost, centre=True) < 1.5 and perfect < 0.001
