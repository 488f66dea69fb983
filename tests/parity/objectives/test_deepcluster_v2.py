"""Card B07, DeepCluster-v2.

That two processes find the same centroids as one is in tests/ddp/test_collectives.py; that readers, however many, give
every window the same stable index is in tests/unit/data.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_platform.errors import ConfigError
from ssl_platform.losses.clustering import cluster_cross_entropy
from ssl_platform.nn.clustering import nearest, spherical_kmeans
from ssl_platform.objectives.base import TrainingSet, total_of
from ssl_platform.objectives.pseudo_labels import PseudoLabels
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import ITEMS, built, make, small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Batch, Step


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def shuffled(number: int, count: int = 16) -> Batch:
    """`count` windows of an epoch's random order."""
    everything = toy_batch(ITEMS, items=ITEMS)
    per = ITEMS // count
    order = torch.randperm(ITEMS, generator=torch.Generator().manual_seed(number // per))
    chosen = order[number % per * count :][:count]
    part = everything.reads[0]["main"]
    taken = replace(part, data=part.data[chosen], spacing=part.spacing[chosen], origin=part.origin[chosen])
    position = torch.arange(number * count, (number + 1) * count)
    assert everything.label is not None
    return replace(
        everything,
        reads=({"main": taken},),
        index=chosen,
        group=everything.group[chosen],
        position=position,
        label=everything.label[chosen],
    )


def test_loss_is_the_cards_formula() -> None:
    z, centroids = F.normalize(rows(6, 5), dim=1).requires_grad_(), F.normalize(rows(4, 5, seed=1), dim=1)
    labels = torch.tensor([3, -1, 0, 0, 2, -1])
    by_hand = torch.zeros((), dtype=torch.float64)
    for i, label in enumerate(labels.tolist()):
        if label >= 0:
            similar = [sum(z[i, d] * centroids[k, d] for d in range(5)) / 0.1 for k in range(4)]
            by_hand = by_hand - similar[label] + torch.stack(similar).exp().sum().log()
    loss = cluster_cross_entropy(z, centroids, labels, 0.1)
    torch.testing.assert_close(loss, by_hand / 4)
    (gradient,) = torch.autograd.grad(loss, z)
    assert (gradient[[1, 5]] == 0).all() and (gradient[[0, 2, 3, 4]] != 0).all()
    alike = cluster_cross_entropy(z, centroids[:1].expand(4, -1), labels, 0.1)
    torch.testing.assert_close(float(alike.detach()), math.log(4))


def test_kmeans_is_the_loop_and_its_objective_never_decreases() -> None:
    points, start = F.normalize(rows(60, 4), dim=1), F.normalize(rows(5, 4, seed=1), dim=1)
    means, total = start.clone(), -math.inf
    for iteration in range(8):
        torch.testing.assert_close(spherical_kmeans(points, start, iteration), means)
        assert float(nearest(points, means)[1].sum()) >= total - 1e-12
        total = float(nearest(points, means)[1].sum())
        own = [max(range(5), key=lambda k: float(p @ means[k])) for p in points]
        for k in range(5):
            members = [p for p, label in zip(points, own, strict=True) if label == k]
            if members:
                means[k] = torch.stack(members).sum(0) / torch.stack(members).sum(0).norm()


def test_prototypes_are_the_centroids_and_stand_still_between_clusterings() -> None:
    torch.manual_seed(0)
    method, backbone = small("deepcluster-v2"), small_backbone()
    make(method, backbone)
    assert not any("centroids" in name for name, _ in method.named_parameters())
    seen = []
    before = method.before_step

    def watched(step: Step) -> None:
        before(step)
        seen.append((method.centroids.clone(), method.labels.labels.clone(), method.bank(1).rows.clone()))

    method.before_step = watched
    items = toy_batch(ITEMS, items=ITEMS)
    fit(method, backbone, toy_layout(), shuffled, 9, window=(16, 16), epoch_steps=4, items=items, build=False)
    for first, second in ((0, 3), (4, 7)):
        assert torch.equal(seen[first][0], seen[second][0]) and torch.equal(seen[first][1], seen[second][1])
    assert not torch.equal(seen[3][0], seen[4][0])
    centroids, labels, bank = seen[4]
    assert torch.equal(labels[1], nearest(bank, centroids[1])[0]), "head 1 reads the second crop's bank"
    torch.testing.assert_close(centroids.norm(dim=-1), torch.ones(3, 16))


def test_after_a_shuffled_epoch_the_bank_holds_every_items_own_embedding() -> None:
    torch.manual_seed(0)
    method, backbone = small("deepcluster-v2"), small_backbone()
    make(method, backbone)
    own: dict[int, Tensor] = {}
    after = method.after_step

    def watched(step, backbone, watch, views) -> None:
        after(step, backbone, watch, views)
        own.update(zip(views[0][0].index.tolist(), watch[0]["bank0"], strict=True))

    method.after_step = watched
    items = toy_batch(ITEMS, items=ITEMS)
    fit(method, backbone, toy_layout(), shuffled, 4, window=(16, 16), epoch_steps=4, items=items, build=False)
    assert sorted(own) == list(range(ITEMS)) and bool(method.bank(0).filled.all())
    torch.testing.assert_close(method.bank(0).rows, torch.stack([own[i] for i in range(ITEMS)]))
    assert not torch.allclose(method.bank(0).rows, method.bank(1).rows), "the crops have banks of their own"


def test_windows_without_an_embedding_have_no_label_and_no_gradient() -> None:
    method, backbone = built("deepcluster-v2")
    for crop in range(2):
        method.bank(crop).filled[:8] = False
    method.labels.labels.fill_(-1)
    method.before_step(Step(4, 10, 4, 8))
    labels = method.labels.read(torch.arange(16))
    assert (labels[:, :8] == -1).all() and (labels[:, 8:] >= 0).all()
    loss = total_of(method(backbone, small_views(method, toy_batch(8, items=ITEMS)))).total
    loss.backward()
    assert float(loss) == 0 and all(not p.grad.any() for p in backbone.parameters() if p.grad is not None)


def test_more_clusters_than_windows_are_refused() -> None:
    method = small("deepcluster-v2")
    method.data = TrainingSet(windows=12)
    with pytest.raises(ConfigError, match=r"16 clusters of 12 windows: lower objective\.prototypes"):
        method.build(small_backbone(), {})
    codes = PseudoLabels(1, 5, 3).codes(torch.tensor([2, -1]))
    assert codes.tolist() == [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]


@pytest.mark.slow  # 200 steps a seed
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_clusters_come_nearer_to_the_classes(seed: int) -> None:
    nmi = pytest.importorskip("sklearn.metrics").normalized_mutual_info_score
    torch.manual_seed(seed)
    method, backbone = small("deepcluster-v2", proj_dims=(64, 32)), small_backbone()
    make(method, backbone)
    found = []
    before = method.before_step
    everything = toy_batch(ITEMS, items=ITEMS)

    def watched(step: Step) -> None:
        before(step)
        found.append(nmi(everything.label.numpy(), method.labels.labels[0].numpy()))

    method.before_step = watched
    fit(
        method, backbone, toy_layout(), shuffled, 200, window=(16, 16), epoch_steps=4, items=everything, build=False
    )  # fmt: skip
    assert sum(found[-20:]) / 20 > sum(found[4:24]) / 20
    assert sum(found[-20:]) / 20 > found[0], "k-means on the features of random weights"
