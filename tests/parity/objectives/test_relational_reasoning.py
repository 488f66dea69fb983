"""Card 013. The CIFAR-10 figure needs CIFAR-10; the trend over the number of augmentations is tested on toy data."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from ssl_platform.losses import relation_loss
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout


def built(**settings):
    torch.manual_seed(0)
    method, backbone = small("relational-reasoning", **settings), small_backbone()
    method.build(backbone, {})
    return method, backbone


@pytest.mark.parametrize(("samples", "augmentations"), [(2, 2), (3, 5), (7, 4), (4, 8)])
def test_pairs_are_balanced_and_no_negative_joins_a_sample_with_itself(samples: int, augmentations: int) -> None:
    method, _ = built()
    names = [torch.tensor([[100.0 * i + k] for i in range(samples)]) for k in range(augmentations)]
    left, right, same, valid = method.pairs(names)
    assert len(left) == len(right) == len(same) == samples * augmentations * (augmentations - 1) and valid is None
    assert same.sum() * 2 == len(same)
    a, b = (side[:, 0].div(100, rounding_mode="floor") for side in (left, right))
    assert torch.equal(a == b, same)
    assert ((left % 100) < (right % 100)).all(), "two augmentations, each pair of them once"
    shifts = ((b - a) % samples)[~same].view(-1, samples)
    assert (shifts == shifts[:, :1]).all() and len(shifts[:, 0].unique()) == min(samples - 1, len(shifts))


def test_negatives_of_the_own_group_do_not_count() -> None:
    method, _ = built()
    names = [torch.arange(4.0)[:, None] for _ in range(3)]
    group = torch.tensor([0, 0, 1, 1])
    left, right, same, valid = method.pairs(names, group)
    own = group[left[:, 0].long()] == group[right[:, 0].long()]
    assert torch.equal(valid, same | ~own) and not valid.all()


def test_zero_scores_cost_ln_2_and_less_with_focus() -> None:
    same = torch.tensor([True, False, True, False])
    scores = torch.zeros(4)
    assert abs(float(relation_loss(scores, same, gamma=0.0)) - math.log(2)) < 1e-6
    assert abs(float(relation_loss(scores, same)) - 0.5 * 0.25 * math.log(2)) < 1e-7
    for focus, loss in ((2.0, 0.0866), (0.0, 0.6931)):
        method, backbone = built(focus=focus)
        torch.nn.init.zeros_(method.head[-1].weight), torch.nn.init.zeros_(method.head[-1].bias)
        found = float(method(backbone, small_views(method, toy_batch(4))).total.detach())
        assert abs(found - loss) < 1e-4 and abs(method.trivial(4) - loss) < 1e-4


@pytest.mark.parametrize(("aggregation", "symmetric"), [("cat", False), ("sum", True), ("mean", True), ("max", True)])
def test_all_but_cat_forget_the_order(aggregation: str, symmetric: bool) -> None:
    method, backbone = built(aggregation=aggregation)
    a, b = torch.randn(2, 5, backbone.embed_dim)
    method.eval()
    there, back = (method.head(method.aggregated(*pair)) for pair in ((a, b), (b, a)))
    assert torch.allclose(there, back) == symmetric


def test_focal_loss_is_the_formula_pair_by_pair() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = 3 * torch.randn(40, generator=generator, dtype=torch.float64)
    same = torch.rand(40, generator=generator) < 0.5
    for gamma, alpha in ((0.0, 0.5), (2.0, 0.5), (1.5, 0.25)):
        total = 0.0
        for score, is_same in zip(scores.tolist(), same.tolist(), strict=True):
            p = 1 / (1 + math.exp(-score))
            right = p if is_same else 1 - p
            weight = (alpha if is_same else 1 - alpha) if gamma else 1.0
            total -= weight * (1 - right) ** gamma * math.log(right) / 40
        assert abs(float(relation_loss(scores, same, gamma=gamma, alpha=alpha)) - total) < 1e-12


def test_loss_is_that_of_the_published_loops() -> None:
    """Augmentations outside, samples inside, one cyclic shift for each pair of augmentations; float64."""
    method, backbone = built(augmentations=4)
    method.double().eval(), backbone.double().eval()
    views = [v.replace(x=v.x.double()) for v in small_views(method, toy_batch(3))]
    features = [backbone(v).pooled for v in views]
    scores, same, shift = [], [], 1
    for a, b in itertools.combinations(range(4), 2):
        for partner in (0, shift):
            for i in range(3):
                pair = torch.cat([features[a][i], features[b][(i + partner) % 3]])
                scores.append(method.head(pair[None])[0, 0])
                same.append(partner == 0)
        shift = 1 if shift == 2 else shift + 1
    p = torch.sigmoid(torch.stack(scores))
    right = torch.where(torch.tensor(same), p, 1 - p)
    expected = (-0.5 * (1 - right) ** 2 * right.log()).mean()
    torch.testing.assert_close(method(backbone, views).total, expected, atol=1e-12, rtol=0)


@pytest.mark.slow
def test_eight_augmentations_are_no_worse_than_two_at_equal_samples_seen() -> None:
    """Mean kNN accuracy of three seeds: with K augmentations a step, 8 / K times as many steps."""
    from ssl_platform.measures import knn_vote

    def accuracy(augmentations: int, seed: int) -> float:
        torch.manual_seed(seed)
        method, backbone = small("relational-reasoning", augmentations=augmentations, hidden=64), small_backbone()
        steps = 400 // augmentations
        fit(method, backbone, toy_layout(2), lambda n: toy_batch(32, start=32 * n), steps, window=(16, 16), lr=2e-3)
        train, test = toy_batch(256, start=50_000), toy_batch(128, start=90_000)
        with torch.no_grad():
            bank, query = (backbone(small_views(small("mae"), part)[0]).pooled for part in (train, test))
        return float((knn_vote(query, bank, train.label, 10).argmax(1) == test.label).float().mean())

    many, few = (sum(accuracy(k, seed) for seed in range(3)) / 3 for k in (8, 2))
    assert many >= few - 0.02
