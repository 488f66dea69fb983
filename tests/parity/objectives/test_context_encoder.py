"""Card 154. The VOC figures need VOC; the learning check on toy data is the twin."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from ssl_platform.errors import ConfigError
from ssl_platform.losses import critic_loss, fooling_loss
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import as_batch, small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Batch, View


def built(rank: int = 2, channels: int = 1, **settings):
    torch.manual_seed(0)
    method, backbone = small("context-encoder", painter_dim=8, **settings), small_backbone(rank, channels)
    method.build(backbone, {})
    return method, backbone


def painted(method, x: torch.Tensor):
    """The method with a painter that always gives `x`."""
    method.painter.forward = lambda code: x
    return method


HOLES = ["region", "block", "centre"]


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("hole", HOLES)
def test_holes_have_their_share_and_the_prediction_counts_nowhere_else(hole: str, rank: int) -> None:
    method, backbone = built(rank, hole=hole, overlap=0.0)
    view = small_views(method, toy_batch(4, rank), rank)[0]
    removed, weight = method.hole(view)
    expected = round(0.25 * 16**rank) if hole == "region" else math.prod(method.box)
    assert removed.flatten(1).sum(1).eq(expected).all() and torch.equal(weight > 0, removed)
    x = torch.randn_like(view.x)
    other = torch.where(removed[:, None], x, torch.randn_like(x))
    inside = torch.where(removed[:, None], torch.randn_like(x), x)
    losses = [float(painted(method, p)(backbone, [view]).total.detach()) for p in (x, other, inside)]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("hole", HOLES)
def test_what_is_removed_never_reaches_the_encoder(hole: str) -> None:
    method, backbone = built(hole=hole)
    view = small_views(method, toy_batch(4))[0]
    removed, _ = method.hole(view)
    changed = view.replace(x=torch.where(removed[:, None], view.x + torch.randn_like(view.x), view.x))
    a, b = (backbone(method.seen(v, removed)).pooled for v in (view, changed))
    assert torch.equal(a, b)
    elsewhere = view.replace(x=torch.where(removed[:, None], view.x, view.x + torch.randn_like(view.x)))
    assert not torch.equal(a, backbone(method.seen(elsewhere, removed)).pooled)


def test_error_is_the_weighted_mean_over_the_box_written_with_loops() -> None:
    method, backbone = built(hole="block", channels=2, overlap=0.13, rim=10.0)
    method.double(), backbone.double()
    view = small_views(method, toy_batch(3, channels=2), channels=2)[0]
    view = view.replace(x=view.x.double())
    x = torch.randn_like(view.x)
    removed, _ = method.hole(view)
    start = method._start(view)
    total = count = shown = 0.0
    for b, c, i, j in itertools.product(range(3), range(2), range(8), range(8)):
        row, column = int(start[b, 0]) + i, int(start[b, 1]) + j
        on_rim = not (1 <= i < 7 and 1 <= j < 7)
        assert bool(removed[b, row, column]) != on_rim
        total += (10.0 if on_rim else 1.0) * float(x[b, c, row, column] - view.x[b, c, row, column]) ** 2
        count, shown = count + 1, shown + on_rim
    assert method.box == (8, 8) and shown == 3 * 2 * 28
    assert abs(float(painted(method, x)(backbone, [view]).total) - total / count) < 1e-9


def test_blocks_reach_every_place_and_regions_differ() -> None:
    view = View(torch.zeros(400, 1, 16, 16))
    for hole in ("block", "region"):
        method, _ = built(hole=hole)
        many = small_views(method, as_batch(view.x, 2))[0]
        removed, _ = method.hole(many)
        assert removed.any(0).all() and not removed.all(0).any(), hole
        assert len({tuple(row) for row in removed.flatten(1).int().tolist()}) > 60


def test_gradients_of_critic_and_painter_stay_apart() -> None:
    """The critic's loss reaches no encoder; that of fooling it leaves the critic as it is."""
    method, backbone = built(hole="centre", adversarial=0.5)
    view = small_views(method, toy_batch(4))[0]
    terms = method(backbone, [view]).terms
    critic, others = list(method.critic.parameters()), [*backbone.parameters(), *method.painter.parameters()]
    own = torch.autograd.grad(terms["critic"], [*critic, *others], retain_graph=True, allow_unused=True)
    assert all(g is not None and g.abs().sum() > 0 for g in own[: len(critic)]) and not any(
        g is not None for g in own[len(critic) :]
    )
    fooling = torch.autograd.grad(terms["fooling"], [*critic, *others], retain_graph=True, allow_unused=True)
    assert not any(g is not None for g in fooling[: len(critic)])
    assert any(g is not None and g.abs().sum() > 0 for g in fooling[len(critic) :])
    players = {player.name: {id(p) for p in player.parameters} for player in method.players(backbone)}
    assert players["critic"] == {id(p) for p in critic} and not players["main"] & players["critic"]
    assert {id(p) for p in [*backbone.parameters(), *method.parameters()]} == players["main"] | players["critic"]


def test_total_is_the_published_sum() -> None:
    method, backbone = built(hole="centre", adversarial=0.001)
    loss = method(backbone, small_views(method, toy_batch(4)))
    t = loss.terms
    torch.testing.assert_close(loss.total, 0.999 * t["reconstruction"] + 0.001 * t["fooling"] + t["critic"])
    with pytest.raises(ConfigError, match="holes of one shape"):
        built(adversarial=0.001)


def test_adversarial_losses_are_cross_entropies() -> None:
    real, made = torch.randn(2, 50, dtype=torch.float64) * 4
    ones = torch.ones_like(real)
    expected = F.binary_cross_entropy(real.sigmoid(), ones) + F.binary_cross_entropy(made.sigmoid(), 0 * ones)
    torch.testing.assert_close(critic_loss(real, made), expected)
    torch.testing.assert_close(fooling_loss(made), F.binary_cross_entropy(made.sigmoid(), ones))
    assert abs(float(critic_loss(0 * ones, 0 * ones)) - 2 * math.log(2)) < 1e-6


@pytest.mark.slow
def test_constant_views_are_completed() -> None:
    def batch(n: int) -> Batch:
        level = torch.rand(16, 1, 1, 1, generator=torch.Generator().manual_seed(n))
        return as_batch(level.expand(-1, -1, 16, 16).clone(), 2)

    method, backbone = built(hidden=32)
    for steps, lr in ((300, 2e-3), (100, 3e-4)):
        done = fit(method, backbone, toy_layout(2), batch, steps, window=(16, 16), lr=lr, build=False)
    assert sum(done.losses[-10:]) / 10 < 1e-3


@pytest.mark.slow
def test_a_critic_makes_textures_rougher() -> None:
    """Checks of random phase: the mean of all completions is flat, and a flat one is told from a real one."""

    def batch(n: int) -> Batch:
        generator = torch.Generator().manual_seed(n)
        noise = torch.randint(0, 2, (16, 1, 16, 16), generator=generator).float()
        return as_batch(noise, 2)

    def roughness(adversarial: float) -> float:
        method, backbone = built(hole="centre", adversarial=adversarial, hidden=32, critic_lr=1.0)
        done = fit(method, backbone, toy_layout(2), batch, 150, window=(16, 16), lr=2e-3, build=False)
        with torch.no_grad():
            view = done.views[0]
            x = method.painter(method.bottleneck(backbone(method.seen(view, method.hole(view)[0])).pooled))
        box = x[:, :, 4:12, 4:12]
        return float((box - F.avg_pool2d(F.pad(box, (1, 1, 1, 1), mode="reflect"), 3, 1)).var())

    assert roughness(0.5) > 4 * roughness(0.0)
