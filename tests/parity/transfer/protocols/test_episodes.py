"""Classifiers of few-shot episodes and their interval, against scikit-learn's and scipy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.svm import LinearSVC
from torch.nn import functional as F

from ssl_platform.transfer.intervals import over_repeats
from ssl_platform.transfer.protocols.answer import mean_of_column
from ssl_platform.transfer.protocols.episode_classifiers import classify, logistic, svm


def episodes(shots: int, count: int = 4, ways: int = 5, dim: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    centre = torch.randn(count, ways, 1, dim, generator=draw)
    shown = centre + 1.5 * torch.randn(count, ways, shots, dim, generator=draw)
    asked = centre + 1.5 * torch.randn(count, ways, 6, dim, generator=draw)
    return F.normalize(shown, dim=-1), F.normalize(asked.flatten(1, 2), dim=-1)


@pytest.mark.parametrize("shots", [1, 5])
def test_logistic_regression(shots: int) -> None:
    shown, asked = episodes(shots)
    weight, bias = logistic(shown)
    y = np.repeat(np.arange(5), shots)
    for e in range(len(shown)):
        oracle = LogisticRegression(C=1.0, tol=1e-10, max_iter=5000).fit(shown[e].flatten(0, 1).double().numpy(), y)
        found = (asked[e].double() @ weight[e] + bias[e]).log_softmax(1)
        np.testing.assert_allclose(found, oracle.predict_log_proba(asked[e].double().numpy()), atol=1e-5)


def test_support_vector_machines_on_standardised_features() -> None:
    shown, asked = episodes(5)
    weight, bias = svm(shown)
    y = np.repeat(np.arange(5), 5)
    for e in range(len(shown)):
        x = shown[e].flatten(0, 1).double().numpy()
        mean, std = x.mean(0), x.std(0)
        oracle = LinearSVC(C=1.0, dual=False, tol=1e-10, intercept_scaling=1e3, max_iter=100_000).fit(
            (x - mean) / std, y
        )
        found = asked[e].double() @ weight[e] + bias[e]
        np.testing.assert_allclose(found, oracle.decision_function((asked[e].numpy() - mean) / std), atol=1e-3)


def test_nearest_item_and_nearest_mean() -> None:
    shown, asked = episodes(3)
    y = np.repeat(np.arange(5), 3)
    for name, oracle in (("nearest", KNeighborsClassifier(1)), ("prototype", NearestCentroid())):
        found = classify(name, shown, asked)
        for e in range(len(shown)):
            oracle.fit(shown[e].flatten(0, 1).numpy(), y)
            assert np.array_equal(found[e], oracle.predict(asked[e].numpy()))


def test_with_one_shot_all_distances_agree() -> None:
    shown, asked = episodes(1)
    first, *others = (classify(name, shown, asked) for name in ("cosine", "prototype", "nearest"))
    assert all(torch.equal(first, other) for other in others)


def test_the_interval_is_scipy_s() -> None:
    score = np.random.default_rng(0).random((60, 1))
    found = over_repeats(mean_of_column(0), np.zeros(60), score, [str(i) for i in range(60)], "episodes")
    low, high = stats.t.interval(0.95, 59, loc=score.mean(), scale=stats.sem(score[:, 0]))
    assert found.ci95 == pytest.approx((low, high)) and found.ci_over == "episodes"
