"""Card B06. What colour jitter is worth (its last line) takes images in colour and full training: no test here."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from ssl_platform.losses import info_nce
from ssl_platform.objectives.base import total_of
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import built, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout


def test_loss_written_out_with_loops() -> None:
    method, backbone = built("nnclr")
    method.double(), backbone.double()
    views = [v.replace(x=v.x.double()) for v in small_views(method, toy_batch(6))]
    loss = total_of(method(backbone, views))

    z = [F.normalize(method.projector(backbone(v).pooled), dim=1).detach() for v in views]
    p = [F.normalize(method.predictor(method.projector(backbone(v).pooled)), dim=1) for v in views]
    support, t, total = F.normalize(method.queue.content(), dim=1), 0.1, 0.0
    for anchors, columns in ((z[0], p[1]), (z[1], p[0])):
        for i in range(6):
            best = max(range(len(support)), key=lambda j: float(anchors[i] @ support[j]))
            row = [math.exp(float(support[best] @ columns[j]) / t) for j in range(6)]
            total -= 0.5 * math.log(row[i] / sum(row)) / 6
    assert float(loss.total) == pytest.approx(total, rel=1e-9)


def test_neighbours_in_the_batch_itself_give_plain_info_nce() -> None:
    method, backbone = built("nnclr", queue=8)
    views = small_views(method, toy_batch(8))
    z, p = [], []
    for view in views:
        projected = method.projector(backbone(view).pooled)
        z.append(F.normalize(projected, dim=1).detach()), p.append(method.predictor(projected))
    for own, other in ((0, 1), (1, 0)):
        method.queue.rows.copy_(z[own])
        near = method.neighbours(z[own])
        plain = info_nce(z[own], p[other], 0.1)
        torch.testing.assert_close(info_nce(near, p[other], 0.1, in_batch=True), plain, atol=1e-6, rtol=0)
    none, _ = built("nnclr", queue=0)  # without a support set a sample is its own neighbour
    assert torch.equal(none.neighbours(z[0]), z[0])


def test_neighbours_match_a_brute_force_search() -> None:
    method, _ = built("nnclr", queue=64)
    queries = F.normalize(torch.randn(10_000, 16), dim=1)
    rows = method.queue.content().double()
    distance = torch.cdist(queries.double(), rows, compute_mode="donot_use_mm_for_euclid_dist")
    assert torch.equal(method.neighbours(queries), method.queue.content()[distance.argmin(dim=1)])


def test_gradient_passes_through_predictions_only() -> None:
    method, backbone = built("nnclr")
    loss = total_of(method(backbone, small_views(method, toy_batch(8))))
    assert not method.queue.content().requires_grad and not loss.watch["support"].requires_grad
    method.zero_grad(), backbone.zero_grad()
    torch.nn.init.zeros_(method.predictor[-1].weight)  # predictions that do not depend on the view
    total_of(method(backbone, small_views(method, toy_batch(8)))).total.backward()
    assert all(p.grad.abs().max() == 0 for p in [*backbone.parameters(), *method.projector.parameters()])


def test_embeddings_are_queued_after_the_loss_and_restored_with_the_state() -> None:
    method, backbone = built("nnclr", queue=24)
    searched = []
    search = method.neighbours

    def watched(z: torch.Tensor) -> torch.Tensor:
        searched.append(method.queue.content().clone())
        return search(z)

    method.neighbours = watched
    before = method.queue.content().clone()
    done = fit(method, backbone, toy_layout(), lambda n: toy_batch(8), 1, window=(16, 16), build=False)
    assert torch.equal(searched[0], before) and torch.equal(searched[1], before)
    assert torch.equal(method.queue.content()[:8], done.last.watch["support"]) and int(method.queue.pushed) == 8
    other, _ = built("nnclr", queue=24)
    other.load_state_dict(copy.deepcopy(method.state_dict()))
    assert torch.equal(other.queue.content(), method.queue.content()) and int(other.queue.pushed) == 8
