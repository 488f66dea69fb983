"""Scores of classes against scikit-learn, and their intervals against resampling one group after the other."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, confusion_matrix, precision_recall_fscore_support, roc_auc_score

from ssl_platform.report.class_scores import confusion, of_classes, of_labels
from ssl_platform.transfer.intervals import over_groups

RNG = np.random.default_rng(3)
TARGET = RNG.integers(0, 3, 90)
SCORE = RNG.normal(size=(90, 3)) + 1.2 * np.eye(3)[TARGET]
GROUPS = [f"g{i // 3}" for i in range(90)]


def test_scores_of_classes_are_those_of_scikit_learn() -> None:
    found = SCORE.argmax(1)
    assert np.array_equal(confusion(TARGET, found, 3), confusion_matrix(TARGET, found))
    expected = precision_recall_fscore_support(TARGET, found)
    scores = of_classes(TARGET, SCORE, GROUPS, ("a", "b", "c"))
    for name, values in zip(("precision", "recall", "F1"), expected[:3], strict=True):
        assert [one.figures[name].value for one in scores] == pytest.approx(list(values))
    assert [one.support for one in scores] == list(expected[3])


def test_intervals_are_those_of_resampled_groups() -> None:
    scores = of_classes(TARGET, SCORE, GROUPS, ("a", "b", "c"))

    def recall(target: np.ndarray, score: np.ndarray) -> float:
        return float((score.argmax(1)[target == 1] == 1).mean())

    expected = over_groups(recall, TARGET, SCORE, GROUPS, resamples=4000, seed=5).ci95
    assert expected is not None
    found = scores[1].figures["recall"]
    assert (found.low, found.high) == pytest.approx(expected, abs=0.03)


def test_a_class_nobody_predicts_has_no_precision() -> None:
    target, score = np.array([0, 0, 1]), np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    first, second = of_classes(target, score, ["x", "y", "z"], ("a", "b"))
    assert "precision" not in second.figures and second.figures["recall"].value == 0
    assert first.figures["precision"].value == pytest.approx(2 / 3)


def test_labels_are_scored_by_ranking() -> None:
    target = (RNG.random((60, 2)) < 0.4).astype(float)
    score = RNG.normal(size=(60, 2)) + target
    for k, one in enumerate(of_labels(target, score, [str(i) for i in range(60)], ("a", "b"))):
        assert one.figures["average precision"].value == pytest.approx(
            average_precision_score(target[:, k], score[:, k])
        )
        assert one.figures["AUC"].value == pytest.approx(roc_auc_score(target[:, k], score[:, k]))
        assert one.figures["AUC"].low < one.figures["AUC"].value < one.figures["AUC"].high
