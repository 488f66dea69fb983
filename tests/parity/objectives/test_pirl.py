"""Card 056. kNN against the jigsaw control is a row of the learning table."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from ssl_platform.losses import memory_contrast, memory_softmax
from ssl_platform.objectives.base import total_of
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import ITEMS, built, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Step


@pytest.mark.parametrize("form", ["nce", "softmax"])
def test_loss_written_out_with_loops(form: str) -> None:
    method, backbone = built("pirl", loss=form, share=0.3)
    method.double(), backbone.double()
    views = small_views(method, toy_batch(5, start=10))
    views = type(views)([v.replace(x=v.x.double()) for v in views])
    f = F.normalize(method.projector(backbone(views[0]).pooled), dim=1)
    g = F.normalize(method.transformed(backbone, views[1]), dim=1)
    rows = method.candidates(views[0])
    total = 0.0
    for i in range(5):
        for v, weight in ((g[i], 0.3), (f[i], 0.7)):
            score = [math.exp(float(v @ method.bank.rows[j]) / 0.07) for j in rows[i]]
            own, noise = score[0], score[1:]
            total -= weight * math.log(own / (own + sum(noise))) / 5
            if form == "nce":
                total -= weight * sum(math.log(1 - s / (s + sum(noise))) for s in noise) / 5
    assert float(total_of(method(backbone, views)).total) == pytest.approx(total, rel=1e-9)


def test_closed_forms() -> None:
    assert float(memory_contrast(torch.ones(3), torch.ones(3, 1))) == pytest.approx(2 * math.log(2))
    own, noise = torch.full((3,), 0.7), torch.full((3, 9), 0.7)
    expected = -math.log(1 / 10) - 9 * math.log(9 / 10)
    assert float(memory_contrast(own, noise)) == pytest.approx(expected, rel=1e-5)
    assert float(memory_softmax(own, noise)) == pytest.approx(math.log(10), rel=1e-5)
    for form, value in (("nce", expected), ("softmax", math.log(10))):
        method, _ = built("pirl", negatives=9, loss=form)
        assert method.trivial(8) == pytest.approx(value, rel=1e-6)
    assert memory_contrast(torch.tensor([100.0]), torch.tensor([[-100.0, 90.0]])).isfinite()


def test_negatives_are_other_samples_each_at_most_once_where_all_are_taken() -> None:
    method, _ = built("pirl", negatives=24)
    view = small_views(method, toy_batch(8, start=60, items=ITEMS))[0]
    rows = method.candidates(view)
    assert rows.shape == (8, 25) and torch.equal(rows[:, 0], view.index)
    assert not (rows[:, 1:] == view.index[:, None]).any()
    assert rows.min() >= 0 and rows.max() < ITEMS and len(rows[:, 1:].unique()) > 50
    everything, _ = built("pirl", negatives=10_000)
    rows = everything.candidates(view)
    assert rows.shape == (8, ITEMS) and torch.equal(rows.sort(dim=1).values, torch.arange(ITEMS).expand(8, -1))


def test_order_of_tiles_reaches_the_head_but_not_a_mean_over_them() -> None:
    method, backbone = built("pirl")
    view = small_views(method, toy_batch(4))["tiled"][0]
    parts = method.tile_projector(backbone(method.tiles(view)).pooled).unflatten(0, (4, -1))
    assert parts.shape[1] == 4
    order = view.random.permutation("order", 4)
    shuffled = torch.stack([parts[i][order[i]] for i in range(4)])
    assert not torch.equal(order, torch.arange(4).expand(4, -1))
    torch.testing.assert_close(shuffled.mean(1), parts.mean(1))
    torch.testing.assert_close(method.transformed(backbone, view), method.join(shuffled.flatten(1)))
    assert (method.join(shuffled.flatten(1)) - method.join(parts.flatten(1))).abs().max() > 1e-2


@pytest.mark.parametrize(("rank", "cells"), [(1, 6), (3, 4)])  # 64/85 of a part of 8, in whole patches of 2 and 4
def test_tiles_are_the_views_own_cells_on_any_rank(rank: int, cells: int) -> None:
    method, _ = built("pirl", rank)
    view = small_views(method, toy_batch(2, rank), rank)["tiled"][0]
    tiles = method.tiles(view)
    assert tiles.x.shape == (2 * 2**rank, 1, *[cells] * rank)
    assert set(tiles.x[: 2**rank].flatten().tolist()) <= set(view.x[0].flatten().tolist())


def test_memory_is_updated_with_the_intact_view_only_and_has_no_gradient() -> None:
    method, backbone = built("pirl", bank_momentum=0.0)
    before = method.bank.rows.clone()
    views = small_views(method, toy_batch(8, start=5))
    loss = total_of(method(backbone, views))
    loss.total.backward()
    assert not method.bank.rows.requires_grad
    method.after_step(Step(0, 10), backbone, [{k: v.detach() for k, v in loss.watch.items()}], [views])
    f = F.normalize(method.projector(backbone(views[0]).pooled), dim=1)
    torch.testing.assert_close(method.bank.rows[5:13], f.detach())
    rest = [i for i in range(ITEMS) if not 5 <= i < 13]
    assert torch.equal(method.bank.rows[rest], before[rest])
    torch.testing.assert_close(method.bank.rows.norm(dim=1), torch.ones(ITEMS))


@pytest.mark.slow
def test_tiles_and_intact_views_of_unseen_samples_meet() -> None:
    """With batch statistics in the head, as every small run has: without them what all samples share hides the rest."""
    method, backbone = built("pirl", negatives=63, head_norm="batch")
    batches = lambda n: toy_batch(16, start=16 * n, items=ITEMS)  # noqa: E731
    fit(method, backbone, toy_layout(), batches, 400, window=(16, 16), lr=1e-3, build=False)
    method.eval()
    views = small_views(method, toy_batch(32, start=5000))
    with torch.no_grad():
        f = F.normalize(method.projector(backbone(views["global"][0]).pooled), dim=1)
        g = F.normalize(method.transformed(backbone, views["tiled"][0]), dim=1)
    similarity = f @ g.T
    own = similarity.diagonal().mean()
    others = (similarity.sum() - similarity.diagonal().sum()) / (32 * 31)
    assert own > others + 0.1
