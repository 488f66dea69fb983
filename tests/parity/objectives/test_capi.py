"""Card 041, CAPI. Codes and loss against lightly's are in tests/parity/losses/test_lightly.py."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from ssl_platform.nn.clustering import sinkhorn
from ssl_platform.objectives.base import total_of
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import built, make, small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Features, Step


def test_a_term_reaches_only_its_player() -> None:
    method, backbone = built("capi")
    student, tokenizer, clustering = (player.parameters for player in method.players(backbone))
    teacher = list(method.teacher.parameters())
    loss = total_of(method(backbone, small_views(method, toy_batch(8))))
    loss.terms["student"].backward(retain_graph=True)
    assert all(p.grad is None for p in (*clustering, *teacher))
    assert all(p.grad is not None and bool(p.grad.any()) for p in tokenizer)
    method.zero_grad(), backbone.zero_grad()
    loss.terms["clustering"].backward()
    assert all(p.grad is None or not p.grad.any() for p in (*student, *tokenizer, *teacher))
    assert all(p.grad is not None and bool(p.grad.any()) for p in clustering)
    assert [player.lr for player in method.players(backbone)] == [1.0, 0.2, 0.5]


def test_every_prototype_is_used_alike_at_every_position() -> None:
    torch.manual_seed(0)
    # Half of what a token looks like is its position, so codes balanced over all tokens would name it.
    features = F.normalize(torch.randn(1, 6, 64) + torch.randn(512, 6, 64), dim=-1)
    scores = features @ F.normalize(torch.randn(8, 64), dim=1).T
    mass = sinkhorn(scores, 0.06, 3, per_position=True).sum(0)
    torch.testing.assert_close(mass, torch.full((6, 8), 512 / 8), rtol=0.05, atol=0)
    together = sinkhorn(scores, 0.06, 3).sum(0)
    assert float((together - 64).abs().max()) > 64


def test_a_prediction_does_not_depend_on_what_else_is_asked() -> None:
    torch.manual_seed(0)
    method, _ = built("capi")
    method.double()
    with torch.no_grad():
        coords, asked = torch.rand(2, 5, 2, dtype=torch.float64), torch.rand(2, 3, 2, dtype=torch.float64)
        values = torch.randn(2, 5, method.head.weight.shape[1], dtype=torch.float64)
        features = Features(values.mean(1), values[:, :0], values, coords)
        together = method.predictor(features, asked)
        alone = torch.cat([method.predictor(features, asked[:, [i]]) for i in range(3)], dim=1)
        swapped = method.predictor(features, asked.flip(1)).flip(1)
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(together, swapped)


def test_uniform_scores_cost_twice_ln_k() -> None:
    method, backbone = built("capi")
    with torch.no_grad():
        for head in (method.head, method.clusters):
            head.weight.copy_(head.weight[:1].expand_as(head.weight))
    loss = total_of(method(backbone, small_views(method, toy_batch(8))))
    assert float(loss.total) == pytest.approx(method.trivial(8), rel=1e-5)
    assert float(loss.terms["target_entropy"]) == pytest.approx(math.log(16), rel=1e-5)


def test_eight_places_are_asked_and_the_teacher_moves_slowly() -> None:
    method, backbone = built("capi", momentum=0.75)
    loss = total_of(method(backbone, small_views(method, toy_batch(4))))
    assert loss.watch["teacher_probs"].shape == (4 * 8, 16)
    with torch.no_grad():
        before = [p.clone() for p in method.teacher.parameters()]
        for p in backbone.parameters():
            p.add_(1.0)
    method.after_step(Step(0, 10), backbone, [], [])
    for p, old in zip(method.teacher.parameters(), before, strict=True):
        torch.testing.assert_close(p, old + 0.25)


@pytest.mark.slow  # twice 500 steps
def test_target_entropy_stays_inside_and_plain_softmax_collapses() -> None:
    def run(balanced: bool) -> tuple[list[float], float]:
        torch.manual_seed(0)
        method, backbone = small("capi", balanced=balanced), small_backbone()
        make(method, backbone)
        entropies = []
        after = method.after_step

        def watched(step, backbone, watch, views) -> None:
            after(step, backbone, watch, views)
            entropies.append(float(method.last))

        forward = method.forward

        def noted(backbone, views):
            loss = forward(backbone, views)
            method.last = loss.terms["target_entropy"].detach()
            return loss

        method.forward, method.after_step = noted, watched
        batches = lambda n: toy_batch(16, start=16 * (n % 8))  # noqa: E731
        done = fit(method, backbone, toy_layout(), batches, 500, window=(16, 16), lr=2e-3, build=False)
        mean = done.last.watch["teacher_probs"].mean(0)
        return entropies, float(-torch.xlogy(mean, mean).sum()) / math.log(16)

    entropies, usage = run(balanced=True)
    assert math.log(2) < min(entropies) and max(entropies) < math.log(16)
    assert usage > 0.9
    assert run(balanced=False)[1] < 0.5
