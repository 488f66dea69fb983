"""What every objective promises, at a small size and on grids of rank 1, 2 and 3."""

from __future__ import annotations

import pytest
import torch

from ssl_platform.objectives.base import total_of
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import SMALL, small, small_backbone, small_views
from ssl_platform.testing.sync import forbid_sync
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Step

NAMES = sorted(SMALL)
STEP = Step(5, 10, 1, 8, 1e-3)


def built(name: str, rank: int = 2, channels: int = 1):
    torch.manual_seed(0)
    method, backbone = small(name), small_backbone(rank, channels)
    method.build(backbone, {})
    method.before_step(STEP)
    return method, backbone


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_gradient_reaches_every_trainable_parameter_on_any_rank(name: str, rank: int) -> None:
    method, backbone = built(name, rank, channels=2)
    views = small_views(method, toy_batch(4, rank, channels=2), rank, 2)
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
def test_forward_changes_no_state_but_running_statistics(name: str) -> None:
    method, backbone = built(name)
    before = {k: v.clone() for k, v in {**method.state_dict(), **backbone.state_dict()}.items()}
    total_of(method(backbone, small_views(method, toy_batch(8))))
    after = {**method.state_dict(), **backbone.state_dict()}
    changed = [k for k in before if not torch.equal(before[k], after[k])]
    assert all("running" in k or "num_batches" in k for k in changed), changed


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_loss_and_views_do_not_depend_on_the_batch(name: str) -> None:
    losses = []
    for _ in range(2):
        method, backbone = built(name)
        losses.append(float(total_of(method(backbone, small_views(method, toy_batch(8)))).total))
    assert losses[0] == losses[1]
    method, _ = built(name)
    whole, half = small_views(method, toy_batch(8)), small_views(method, toy_batch(4, start=4))
    for a, b in zip(whole, half, strict=True):
        torch.testing.assert_close(a.x[4:], b.x, atol=0, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_changing_invalid_cells_changes_no_loss(name: str) -> None:
    method, backbone = built(name)
    losses = []
    for fill in (0.0, 7.0, float("nan")):
        batch = toy_batch(8)
        part = batch.reads[0]["main"]
        valid = torch.ones(8, 16, 16, dtype=torch.bool)
        valid[:, :, 12:] = False
        part.valid = valid
        part.data = torch.where(valid[:, None], part.data, torch.tensor(fill))
        losses.append(float(total_of(method(backbone, small_views(method, batch))).total))
    assert losses[0] == losses[1] == losses[2]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "dino"])
def test_a_few_steps_lower_the_loss(name: str) -> None:
    """DINO's target moves with its centre, which starts at zero, so its loss first rises: see test_dino."""
    torch.manual_seed(0)
    method, backbone = small(name), small_backbone()
    done = fit(
        method, backbone, toy_layout(2), lambda n: toy_batch(16, start=16 * (n % 2)), 24, window=(16, 16), lr=2e-3,
        views=None,
    )  # fmt: skip
    assert sum(done.losses[-6:]) < sum(done.losses[:6])


@pytest.mark.parametrize("name", NAMES)
def test_the_state_dict_restores_the_next_loss(name: str) -> None:
    torch.manual_seed(0)
    method, backbone = small(name), small_backbone()
    fit(method, backbone, toy_layout(2), lambda n: toy_batch(8, start=8 * n), 4, window=(16, 16))
    other, copy = small(name), small_backbone()
    torch.manual_seed(9)
    other.build(copy, {})
    other.load_state_dict(method.state_dict())
    copy.load_state_dict(backbone.state_dict())
    for pair in ((method, backbone), (other, copy)):
        pair[0].before_step(STEP)
    views = small_views(method, toy_batch(8, start=99))
    assert float(total_of(method(backbone, views)).total) == float(total_of(other(copy, views)).total)


@pytest.mark.parametrize("name", NAMES)
def test_trivial_is_the_loss_of_a_model_that_learnt_nothing(name: str) -> None:
    """Training starts within a factor of two of `trivial()`, and the number is positive."""
    method, backbone = built(name)
    trivial = method.trivial(8)
    if trivial is None:
        pytest.skip("has no such number")
    method.before_step(Step(0, 10, 4, 8))
    start = float(total_of(method(backbone, small_views(method, toy_batch(8)))).total)
    assert 0.4 * trivial < start < 2.5 * trivial
