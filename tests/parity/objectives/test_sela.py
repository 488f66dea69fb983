"""Card 196, SeLa. Its images are CIFAR's: the last test is a twin on the toy images.

That two processes find the labels of one is in tests/ddp/test_collectives.py.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from ssl_platform.nn.clustering import Transport, balanced_labels, sinkhorn
from ssl_platform.objectives.base import Objective, total_of
from ssl_platform.objectives.clustering.sela import SeLa
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import ITEMS, built, make, small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Step

N, K, POWER = 60, 6, 25.0


def scores(spread: float = 0.3, seed: int = 0) -> Tensor:
    """Logits with a strong taste for the first classes, as of an untrained head."""
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(N, K, generator=generator, dtype=torch.float64) - 0.2 * torch.arange(K)


def same(x: Tensor) -> Tensor:
    return x


def solved(logits: Tensor, iterations: int) -> Transport:
    plan = Transport(logits, len(logits), same, POWER, chunk=32)
    for _ in range(iterations):
        plan.iterate()
    return plan


def matrix(plan: Transport) -> Tensor:
    """`[n, K]` the plan itself."""
    return (torch.cat(list(plan.parts())) + plan.classes + plan.samples[:, None]).exp()


def test_labels_are_those_of_the_papers_matrix_scaling() -> None:
    """`r = (1/K) / (M c)`, `c = (1/N) / (M' r)` with `M = P^lambda`, written out."""
    p = scores().softmax(dim=1)
    m = [[float(p[i, k]) ** POWER for i in range(N)] for k in range(K)]
    r, c, error, iteration = [1.0 / K] * K, [1.0 / N] * N, math.inf, 0
    while error > 0.1:
        r = [1 / K / sum(m[k][i] * c[i] for i in range(N)) for k in range(K)]
        new = [1 / N / sum(m[k][i] * r[k] for k in range(K)) for i in range(N)]
        if iteration % 10 == 0:
            error = sum(abs(old / now - 1) for old, now in zip(c, new, strict=True))
        c, iteration = new, iteration + 1
    by_hand = [max(range(K), key=lambda k: r[k] * m[k][i]) for i in range(N)]
    assert balanced_labels(scores(), same, POWER).tolist() == by_hand
    assert balanced_labels(scores(), same, POWER, chunk=7).tolist() == by_hand
    assert torch.tensor(by_hand).bincount(minlength=K).float().std() < p.argmax(1).bincount(minlength=K).float().std()


def test_the_plan_has_equal_classes_and_equal_samples() -> None:
    plan = matrix(solved(scores(), 500))
    torch.testing.assert_close(plan.sum(0), torch.full((K,), 1 / K, dtype=torch.float64), rtol=1e-3, atol=0)
    torch.testing.assert_close(plan.sum(1), torch.full((N,), 1 / N, dtype=torch.float64), rtol=1e-3, atol=0)


def test_a_constant_times_all_predictions_of_a_class_changes_no_label() -> None:
    favoured = scores()
    favoured[:, 2] += 3.0
    assert favoured.argmax(1).eq(2).all()
    # Not one of the class's probabilities is what it was, but all were multiplied alike (and rows are scaled anyway).
    assert torch.equal(balanced_labels(favoured, same, POWER, 1e-9), balanced_labels(scores(), same, POWER, 1e-9))


def test_equal_rows_still_fill_all_classes() -> None:
    generator = torch.Generator().manual_seed(0)
    p = scores()[:1].softmax(dim=1) + 1e-6 * torch.rand(N, K, generator=generator, dtype=torch.float64)
    assert len(p.argmax(1).unique()) == 1
    assert len(balanced_labels(p.log(), same, POWER, 1e-6).unique()) == K


def test_the_plan_is_swavs_sinkhorn_of_log_p() -> None:
    codes = sinkhorn(scores().log_softmax(dim=1), eps=1 / POWER, iterations=500)
    torch.testing.assert_close(matrix(solved(scores(), 500)) * N, codes, rtol=0, atol=1e-4)


def test_the_loss_is_cross_entropy_of_every_head_with_its_own_labels() -> None:
    method, backbone = built("sela", heads=2)
    views = small_views(method, toy_batch(8, items=ITEMS))
    features = backbone(views[0]).pooled
    by_hand = torch.zeros(())
    for head in range(2):
        layer = method.heads[head]
        assert isinstance(layer, nn.Linear)
        logits = features @ layer.weight.T + layer.bias
        for i, item in enumerate(views[0].index.tolist()):
            by_hand = by_hand - logits[i].log_softmax(0)[method.labels.labels[head, item]] / 16
    torch.testing.assert_close(total_of(method(backbone, views)).total, by_hand)


def test_labels_begin_random_and_balanced_and_wait_for_the_first_pass() -> None:
    method = small("sela", heads=2)
    make(method, small_backbone())
    labels = method.labels.labels
    assert (labels[0].bincount() == ITEMS // 16).all() and not torch.equal(labels[0], labels[1])
    refresh = method.plan(method.config).refresh
    assert refresh is not None and not refresh.at_start and refresh.every == "1%"


class Fixed(SeLa):
    """Labels stay what they were at first."""

    def refresh(self, step: Step, bank: Tensor, index: Tensor) -> None:
        """Keep them."""


@pytest.mark.slow  # 480 steps
def test_labels_come_nearer_to_the_classes_where_fixed_ones_do_not() -> None:
    nmi = pytest.importorskip("sklearn.metrics").normalized_mutual_info_score
    items = toy_batch(ITEMS, items=ITEMS)

    def run(kind: type[Objective]) -> list[float]:
        torch.manual_seed(0)
        method, backbone = kind(small("sela").config), small_backbone()
        make(method, backbone)
        found = []
        before = method.before_step

        def watched(step: Step) -> None:
            before(step)
            found.append(nmi(items.label.numpy(), method.labels.labels[0].numpy()))

        method.before_step = watched
        batches = lambda n: toy_batch(16, start=16 * n, items=ITEMS)  # noqa: E731
        fit(
            method, backbone, toy_layout(), batches, 240, window=(16, 16), epoch_steps=24, items=items, build=False
        )  # fmt: skip
        return found

    learnt, fixed = run(SeLa), run(Fixed)
    assert learnt[-1] > learnt[0] + 0.05
    assert learnt[-1] > fixed[-1] + 0.05
