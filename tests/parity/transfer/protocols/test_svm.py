"""The linear SVM against liblinear's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.svm import LinearSVC

from ssl_platform.transfer.protocols.splits import Labelled, Splits
from ssl_platform.transfer.protocols.svm import fit_svm, svm
from ssl_platform.transfer.task import Task

TASK = Task("classification", ("a", "b", "c"))


def items(count: int, seed: int, spread: float = 1.0) -> Labelled:
    draw = torch.Generator().manual_seed(seed)
    target = torch.arange(count) % 3
    names = [str(i) for i in range(count)]
    return Labelled(2 * torch.eye(3, 5)[target] + spread * torch.randn(count, 5, generator=draw), target, names, names)


@pytest.mark.parametrize("cost", [1e-3, 1e-1, 10.0])
def test_margins_are_liblinear_s(cost: float) -> None:
    bank, other = items(120, 0), items(40, 1)
    mean, std = bank.features.double().mean(0), bank.features.double().std(0, correction=0)
    x, y = ((part.features.double() - mean) / std for part in (bank, other))
    # liblinear penalises the bias as the weight of a constant feature: a large constant makes that nothing
    oracle = LinearSVC(C=cost, dual=False, tol=1e-10, intercept_scaling=1e3, max_iter=100_000)
    oracle.fit(x.numpy(), bank.target.numpy())
    found = fit_svm(bank, TASK, cost)(other.features)
    np.testing.assert_allclose(found, oracle.decision_function(y.numpy()), atol=2e-4)


def test_labels_that_are_unknown_count_nowhere() -> None:
    bank = items(120, 0)
    target = torch.nn.functional.one_hot(bank.target, 3).float()
    target[:40, 1] = torch.nan
    task = Task("multi-label", ("a", "b", "c"))
    found = fit_svm(Labelled(bank.features, target, bank.groups, bank.ids), task, 0.1)(bank.features)
    kept = Labelled(bank.features[40:], target[40:], bank.groups[40:], bank.ids[40:])
    mean, std = bank.features.double().mean(0), bank.features.double().std(0, correction=0)
    x = ((bank.features.double() - mean) / std).numpy()
    oracle = LinearSVC(C=0.1, dual=False, tol=1e-10, intercept_scaling=1e3, max_iter=100_000)
    oracle.fit(x[40:], kept.target[:, 1].numpy())
    np.testing.assert_allclose(found[:, 1], oracle.decision_function(x), atol=2e-4)


def test_separable_classes_are_told_apart() -> None:
    found = svm(Splits(items(60, 0, 0.2), items(30, 1, 0.2), items(60, 2, 0.2)), TASK)
    assert (found.score.argmax(1) == found.target).all() and found.details["C"] > 0
