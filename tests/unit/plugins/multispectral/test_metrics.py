import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from ssl_platform_multispectral.metrics import intersection_over_union

CLASSES = {1: "crop", 2: "grass", 3: "water"}


def test_it_equals_the_jaccard_index_of_known_cells():
    rng = np.random.default_rng(0)
    target, prediction = rng.integers(-1, 3, (30, 30)), rng.integers(0, 3, (30, 30))
    known = target >= 0
    expected = jaccard_score(target[known], prediction[known], labels=[1, 2], average=None)
    found = intersection_over_union(target, prediction, CLASSES)
    assert [found["iou_crop"], found["iou_grass"]] == pytest.approx(expected)
    assert np.isnan(found["iou_water"]) and found["miou"] == pytest.approx(expected.mean())


def test_without_any_known_class_there_is_none():
    assert np.isnan(intersection_over_union(np.full((4, 4), -1), np.zeros((4, 4), int), CLASSES)["miou"])
