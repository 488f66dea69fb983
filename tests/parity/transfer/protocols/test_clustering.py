"""Clusters: metrics as published, neighbours by brute force, and classes found where they are there to find."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from ssl_platform.errors import ConfigError
from ssl_platform.transfer.cluster_metrics import adjusted_rand, matched_accuracy, mutual_information, purity
from ssl_platform.transfer.protocols.answer import Budget
from ssl_platform.transfer.protocols.clustering import clustering, mine
from ssl_platform.transfer.protocols.splits import Labelled, Splits
from ssl_platform.transfer.task import Task


def test_metrics() -> None:
    draw = np.random.default_rng(0)
    target = draw.integers(0, 4, 80)
    cluster = np.where(draw.random(80) < 0.6, (target + 1) % 4, draw.integers(0, 4, 80))
    best = max(
        np.mean([p[c] == t for c, t in zip(cluster, target, strict=True)]) for p in itertools.permutations(range(4))
    )
    assert matched_accuracy(target, cluster) == pytest.approx(best)
    assert mutual_information(target, cluster) == pytest.approx(normalized_mutual_info_score(target, cluster), abs=1e-6)
    assert adjusted_rand(target, cluster) == pytest.approx(adjusted_rand_score(target, cluster), abs=1e-6)
    assert matched_accuracy(target, target * 2) == 1.0


def test_purity_of_classes_of_one_cluster_and_as_scikit_learn_counts_them() -> None:
    target = np.arange(60) % 4
    assert purity(target, 3 - target) == 1.0
    assert purity(target, np.zeros(60)) == 0.25
    cluster = np.random.default_rng(0).integers(0, 5, 60)
    assert purity(target, cluster) == pytest.approx(contingency_matrix(target, cluster).max(axis=0).sum() / 60)


def test_neighbours_are_those_of_brute_force_without_oneself() -> None:
    x = torch.randn(1000, 16, generator=torch.Generator().manual_seed(0))
    unit = torch.nn.functional.normalize((x - x.mean(0)).double(), dim=1)
    expected = (unit @ unit.T - 10 * torch.eye(1000)).topk(7).indices
    found = mine(x, 7, chunk=300)
    assert (found == expected).float().mean() > 0.999 and not (found == torch.arange(1000)[:, None]).any()


def items(count: int, seed: int, spread: float) -> Labelled:
    """Ten classes in 32 dimensions, with three augmented views of each item."""
    centre = torch.randn(10, 32, generator=torch.Generator().manual_seed(7))
    draw = torch.Generator().manual_seed(seed)
    target = torch.arange(count) % 10
    clean = centre[target] + spread * torch.randn(count, 32, generator=draw)
    views = clean[:, None] + 0.3 * torch.randn(count, 3, 32, generator=draw)
    names = [str(i) for i in range(count)]
    return Labelled(torch.cat([clean[:, None], views], 1), target, names, names)


TASK = Task("classification", tuple("abcdefghij"))


def test_ten_classes_are_found_without_labels() -> None:
    found = clustering(Splits(items(300, 0, 0.7), items(100, 1, 0.7), items(200, 2, 0.7)), TASK, Budget(steps=200))
    assert found.functions["accuracy"](found.target, found.score) > 0.95
    assert found.details["self_labelling"] == "done" and found.details["neighbour_purity"] > 0.9
    assert len(found.details["losses"]) == 5


def test_labels_are_not_learnt_from() -> None:
    made, other = (Splits(items(60, 0, 0.7), items(30, 1, 0.7), items(30, 2, 0.7)) for _ in range(2))
    other.train.target = other.train.target.roll(1)
    one, two = (clustering(s, TASK, Budget(steps=20, heads=2)) for s in (made, other))
    assert np.array_equal(one.score, two.score)


def test_no_item_is_sure_and_too_few_items() -> None:
    sets = [items(60, 0, 3.0), items(30, 1, 3.0), items(30, 2, 3.0)]
    found = clustering(Splits(*sets), TASK, Budget(steps=1, heads=1, threshold=0.9999))
    assert found.details["self_labelling"].startswith("left out: no item is surer than 0.9999")
    with pytest.raises(ConfigError, match="90 items to learn from make no 90 clusters"):
        clustering(Splits(*sets), TASK, Budget(clusters=90))
