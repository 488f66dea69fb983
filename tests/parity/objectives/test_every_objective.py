"""What every objective promises, at a small size and on grids of rank 1, 2 and 3."""

from __future__ import annotations

import copy

import pytest
import torch

from ssl_platform.nn.backbone import Backbone
from ssl_platform.objectives.base import Objective, total_of
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import ITEMS, built, make, names, small, small_backbone, small_views
from ssl_platform.testing.sync import forbid_sync
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.train.resume import model_state, restore
from ssl_platform.types import Step, Views

NAMES = names()
STEP = Step(5, 10, 1, 8, 1e-3)
MOVING_TARGET = {"dino", "tico"}
"""The target moves with a centre (dino), or a second moment to turn away from (tico), that starts at zero, so the loss
first rises: see the objective's own test."""
EASY_START = {"moco-v2", "mochi", "densecl"}
"""A queue starts with random vectors, which nothing is mistaken for: the loss starts low, and rises as it fills."""


def ready(name: str, rank: int = 2, channels: int = 1) -> tuple[Objective, Backbone]:
    method, backbone = built(name, rank, channels)
    method.before_step(STEP)
    return method, backbone


def views_of(method: Objective, batch: int = 8, start: int = 0, rank: int = 2, channels: int = 1) -> Views:
    reads = method.plan(method.config).reads.count
    made = toy_batch(batch, rank, channels=channels, start=start, items=ITEMS, reads=reads)
    return small_views(method, made, rank, channels)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_gradient_reaches_every_trainable_parameter_on_any_rank(name: str, rank: int) -> None:
    method, backbone = ready(name, rank, channels=2)
    views = views_of(method, 4, rank=rank, channels=2)
    with forbid_sync():
        loss = total_of(method(backbone, views)).total
        loss.backward()
    assert torch.isfinite(loss)
    for player in method.players(backbone):
        for parameter in player.parameters:
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all()
    trainable = {id(p) for player in method.players(backbone) for p in player.parameters}
    frozen = [p for p in method.parameters() if id(p) not in trainable]
    assert all(p.grad is None for p in frozen), "a teacher was differentiated"


@pytest.mark.parametrize("name", NAMES)
def test_forward_is_a_function_of_state_and_views(name: str) -> None:
    """It changes no state but running statistics; the same seed gives the same loss, and so does a loaded state."""
    method, backbone = ready(name)
    views = views_of(method)
    before = {k: v.clone() for k, v in {**method.state_dict(), **backbone.state_dict()}.items()}
    loss = float(total_of(method(backbone, views)).total)
    after = {**method.state_dict(), **backbone.state_dict()}
    changed = [k for k in before if not torch.equal(before[k], after[k])]
    assert all("running" in k or "num_batches" in k for k in changed), changed

    again, same = ready(name)
    assert float(total_of(again(same, views)).total) == loss

    other, fresh = small(name), small_backbone()
    torch.manual_seed(9)
    make(other, fresh)
    other.load_state_dict(method.state_dict())
    fresh.load_state_dict(backbone.state_dict())
    for one in (method, other):
        one.before_step(STEP)
    assert float(total_of(other(fresh, views)).total) == float(total_of(method(backbone, views)).total)


@pytest.mark.parametrize("name", NAMES)
def test_views_do_not_depend_on_the_batch(name: str) -> None:
    method = small(name)
    whole, half = views_of(method), views_of(method, 4, start=4)
    for a, b in zip(whole, half, strict=True):
        torch.testing.assert_close(a.x[4:], b.x, atol=0, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_changing_invalid_cells_changes_no_loss(name: str) -> None:
    method, backbone = ready(name)
    reads = method.plan(method.config).reads.count
    losses = []
    for fill in (0.0, 7.0, float("nan")):
        batch = toy_batch(8, items=ITEMS, reads=reads)
        for read in batch.reads:
            part = read["main"]
            valid = torch.ones(8, 16, 16, dtype=torch.bool)
            valid[:, :, 12:] = False
            part.valid = valid
            part.data = torch.where(valid[:, None], part.data, torch.tensor(fill))
        losses.append(float(total_of(method(backbone, small_views(method, batch))).total))
    assert losses[0] == losses[1] == losses[2]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in MOVING_TARGET | EASY_START])
def test_a_few_steps_lower_the_loss(name: str) -> None:
    torch.manual_seed(0)
    method, backbone = small(name), small_backbone()
    make(method, backbone)
    reads = method.plan(method.config).reads.count
    items = toy_batch(ITEMS, items=ITEMS, reads=reads)
    done = fit(
        method,
        backbone,
        toy_layout(2),
        lambda n: toy_batch(8, start=8 * (n % 2), items=ITEMS, reads=reads),
        14,
        window=(16, 16),
        lr=2e-3,
        items=items,
        build=False,
    )
    assert sum(done.losses[-4:]) < sum(done.losses[:4])


@pytest.mark.parametrize("name", NAMES)
def test_two_and_two_steps_are_four(name: str) -> None:
    whole = _steps(name, [4])
    resumed = _steps(name, [2, 2])
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())


def _steps(name: str, parts: list[int]) -> dict[str, torch.Tensor]:
    """Weights and buffers after so many steps, built anew and restored between the parts."""
    saved, done = None, 0
    for count in parts:
        method, backbone = built(name)
        players = method.players(backbone)
        optimiser = torch.optim.AdamW([{"params": p.parameters} for p in players], lr=1e-3)
        if saved is not None:
            restore(saved, backbone, method, optimiser)
        for number in range(done, done + count):
            step = Step(number, 4, 4, 8, 1e-3)
            method.before_step(step)
            made = views_of(method, start=8 * number)
            loss = total_of(method(backbone, made))
            optimiser.zero_grad()
            loss.total.backward()
            method.after_backward(step)
            optimiser.step()
            method.after_step(step, backbone, [{k: v.detach() for k, v in loss.watch.items()}], [made])
        saved, done = copy.deepcopy(model_state(backbone, method, optimiser)), done + count
    assert saved is not None
    return {**saved["backbone"], **{f"objective.{k}": v for k, v in saved["objective"].items()}}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in EASY_START])
def test_trivial_is_the_loss_of_a_model_that_learnt_nothing(name: str) -> None:
    """Training starts within a factor of two and a half of `trivial()`, and the number is positive."""
    method, backbone = ready(name)
    trivial = method.trivial(8)
    if trivial is None:
        pytest.skip("has no such number")
    method.before_step(Step(0, 10, 4, 8))
    start = float(total_of(method(backbone, views_of(method))).total)
    assert 0.4 * trivial < start < 2.5 * trivial
