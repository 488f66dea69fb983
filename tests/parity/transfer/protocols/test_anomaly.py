"""Anomaly scores against scikit-learn, and that they find what they should."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from ssl_platform.measures.outliers import mahalanobis, neighbour_distance, shrunk_covariance
from ssl_platform.transfer.evaluation import together
from ssl_platform.transfer.protocols.anomaly import anomaly
from ssl_platform.transfer.protocols.splits import Labelled, Splits
from ssl_platform.transfer.task import Task


@pytest.mark.parametrize(("count", "dim"), [(40, 64), (300, 12)])
def test_distances(count: int, dim: int) -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(count, dim, generator=draw) @ torch.randn(dim, dim, generator=draw)
    covariance, mean = shrunk_covariance(x)
    oracle = LedoitWolf().fit(x.double().numpy())
    np.testing.assert_allclose(covariance, oracle.covariance_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(mahalanobis(x, covariance, mean) ** 2, oracle.mahalanobis(x.double().numpy()), rtol=1e-8)
    unit = torch.nn.functional.normalize(x.double(), dim=1).numpy()
    expected = NearestNeighbors(n_neighbors=5).fit(unit).kneighbors(unit)[0][:, -1]
    np.testing.assert_allclose(neighbour_distance(x, x, 5), expected, atol=1e-6)


def items(count: int, seed: int, classes: int) -> Labelled:
    draw = torch.Generator().manual_seed(seed)
    target = torch.arange(count) % classes
    names = [f"{seed}-{i}" for i in range(count)]
    return Labelled(3 * torch.eye(6)[target] + torch.randn(count, 6, generator=draw), target, names, names)


def test_a_named_anomaly_is_told_by_what_is_normal() -> None:
    task = Task("classification", ("a", "b", "c"), positive="c")
    splits = Splits(items(60, 0, 3), items(30, 1, 3), items(60, 2, 3))
    found = anomaly(splits, task)
    assert found.columns == ("knn:c", "mahalanobis:c") and found.details["normal_items"] == [60]
    metrics = together([found], {}).metrics
    for at, name in enumerate(("knn", "mahalanobis")):
        expected = roc_auc_score(found.target == 2, found.score[:, at])
        assert metrics[f"auroc_{name}"].value == pytest.approx(expected) and expected > 0.8
        assert metrics[f"auroc_{name}"].ci_over == "groups"


def test_each_class_is_held_out_in_turn() -> None:
    task = Task("classification", ("a", "b", "c"))
    found = anomaly(Splits(items(60, 0, 3), items(30, 1, 3), items(60, 2, 3)), task)
    assert found.score.shape == (60, 6) and found.details["anomaly"] == ["a", "b", "c"]
    metrics = together([found], {}).metrics
    each = [metrics[f"auroc_knn:{name}"].value for name in "abc"]
    assert metrics["auroc_knn"].value == pytest.approx(np.mean(each)) and min(each) > 0.7
