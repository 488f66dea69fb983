"""Metrics against scikit-learn and torchmetrics."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torchmetrics.functional.classification import multilabel_average_precision

from ssl_platform.transfer import metrics


@pytest.fixture(params=range(4))
def case(request):
    rng = np.random.default_rng(request.param)
    return rng.integers(0, 4, 200), rng.normal(size=(200, 4)).round(1)  # rounded: ties occur


def test_classification(case) -> None:
    target, score = case
    assert metrics.accuracy(target, score) == pytest.approx(sk.accuracy_score(target, score.argmax(1)))
    assert metrics.balanced_accuracy(target, score) == pytest.approx(
        sk.balanced_accuracy_score(target, score.argmax(1))
    )
    assert metrics.macro_f1(target, score) == pytest.approx(sk.f1_score(target, score.argmax(1), average="macro"))
    present = target < 3  # a class that is predicted and never there
    some = sk.f1_score(target[present], score[present].argmax(1), average="macro")
    assert metrics.macro_f1(target[present], score[present]) == pytest.approx(some)
    one_vs_rest = np.mean([sk.roc_auc_score(target == c, score[:, c]) for c in range(4)])
    assert metrics.macro_auc(target, score) == pytest.approx(one_vs_rest)


def test_binary_auc_uses_the_positive_class(case) -> None:
    target, score = case[0] % 2, case[1][:, :2]
    expected = sk.roc_auc_score(target, score[:, 1] - score[:, 0])
    assert metrics.macro_auc(target, score) == pytest.approx(expected)
    assert metrics.macro_auc(target, score, positive=0) == pytest.approx(expected)


def test_multi_label_and_regression(case) -> None:
    target, score = (np.random.default_rng(1).random((200, 4)) < 0.3).astype(float), case[1]
    assert metrics.mean_average_precision(target, score) == pytest.approx(
        sk.average_precision_score(target, score, average="macro")
    )
    assert metrics.pooled_average_precision(target, score) == pytest.approx(
        sk.average_precision_score(target, score, average="micro")
    )
    assert metrics.label_auc(target, score) == pytest.approx(sk.roc_auc_score(target, score, average="macro"))
    assert metrics.mean_average_precision(target, score) == pytest.approx(
        float(multilabel_average_precision(torch.tensor(score).sigmoid(), torch.tensor(target).long(), 4)), abs=1e-6
    )
    target[::3, 2] = np.nan  # unknown: left out of that label alone
    each = [sk.average_precision_score(target[k, i], score[k, i]) for i, k in enumerate(~np.isnan(target).T)]
    assert metrics.mean_average_precision(target, score) == pytest.approx(np.mean(each))
    y, p = score[:, 0], score[:, 1]
    assert metrics.r2(y, p) == pytest.approx(sk.r2_score(y, p))
    assert metrics.mean_absolute_error(y, p) == pytest.approx(sk.mean_absolute_error(y, p))


def test_dice_against_f1() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, (5, 6, 7)), rng.integers(0, 3, (5, 6, 7))
    for label in range(3):
        assert metrics.dice(a, b, label) == pytest.approx(sk.f1_score(a.ravel() == label, b.ravel() == label))
    assert np.isnan(metrics.dice(a, b, 9))
    ignored = np.where(a == 2, 255, a)
    assert metrics.dice(ignored, b, 1, ignore=255) >= metrics.dice(a, b, 1)
