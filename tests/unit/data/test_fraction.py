import itertools

import numpy as np
import pytest

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data.fraction import draw_count, draw_fraction, fewer_labels
from ssl_platform.data.labels import resolve
from ssl_platform.data.splits import resolve as split
from ssl_platform.errors import DataError
from ssl_platform.types import Row


def data(tmp_path, labels):
    rows = [Row(f"i{k}", f"/d/i{k}", (8,)) for k in range(len(labels))]
    (tmp_path / "t.csv").write_text("id,label\n" + "".join(f"i{k},{v}\n" for k, v in enumerate(labels)))
    facts = resolve(rows, LabelsConfig(source=str(tmp_path / "t.csv")))
    return facts, split(rows, facts, LabelsConfig()).codes


def test_a_fraction_of_each_class_of_train_and_all_of_the_rest(tmp_path):
    facts, codes = data(tmp_path, ["a"] * 300 + ["b"] * 100)
    few, notes = draw_fraction(facts, codes, 0.1)
    train = few[0] == 1
    assert (train[:300].sum(), train[300:].sum()) == (18, 6)
    assert ((few == codes) | (codes == 1)).all()
    assert notes == ["labels: 24 training labels of 240 used (labels.fraction=0.1)"]


def test_smaller_fractions_are_part_of_larger_ones_and_fixed(tmp_path):
    facts, codes = data(tmp_path, ["a", "b"] * 100)
    draws = [draw_fraction(facts, codes, f)[0] == 1 for f in (0.05, 0.2, 0.5, 1.0)]
    assert all((small <= large).all() for small, large in itertools.pairwise(draws))
    assert (draws[3] == (codes == 1)).all()
    assert (draw_fraction(facts, codes, 0.2)[0] == draw_fraction(facts, codes, 0.2)[0]).all()
    assert (draw_fraction(facts, codes, 0.2, draw=1)[0] != draw_fraction(facts, codes, 0.2)[0]).any()


@pytest.mark.parametrize("labels", [["a", "b", "c"] * 50, ["a|b", "b", "c|"] * 50])
def test_every_class_keeps_at_least_one(tmp_path, labels):
    facts, codes = data(tmp_path, labels)
    few = draw_fraction(facts, codes, 0.001)[0][0] == 1
    kept = facts.target[few]
    assert len(set(kept.tolist())) == 3 if kept.ndim == 1 else (kept == 1).any(axis=0).all()


def test_regression_targets_keep_their_range(tmp_path):
    facts, codes = data(tmp_path, [f"{k}.5" for k in range(500)])
    kept = facts.target[draw_fraction(facts, codes, 0.1)[0][0] == 1]
    assert np.histogram(kept, 5, (0, 500))[0].min() >= 3


@pytest.mark.parametrize("fraction", [0, -0.1, 1.5])
def test_a_fraction_is_above_zero_and_at_most_one(tmp_path, fraction):
    facts, codes = data(tmp_path, ["a", "b"] * 100)
    with pytest.raises(DataError, match=f"labels.fraction={fraction} is not above 0 and at most 1"):
        draw_fraction(facts, codes, fraction)


def test_a_number_of_labels_is_met_and_spread_over_the_classes(tmp_path):
    facts, codes = data(tmp_path, ["a"] * 150 + ["b"] * 30 + ["c"] * 20)
    draws = [draw_count(facts, codes, n)[0] for n in (2, 10, 11)]
    for few, n in zip(draws, (2, 10, 11), strict=True):
        counts = np.bincount(facts.target[few[0] == 1], minlength=3)
        assert counts.sum() == n and counts.max() - counts.min() <= 1
        assert ((few == codes) | (codes == 1)).all()
    assert all(((a == 1) <= (b == 1)).all() for a, b in itertools.pairwise(draws))
    assert (draw_count(facts, codes, 10, draw=1)[0] != draws[1]).any()
    assert draw_count(facts, codes, 10)[1] == ["labels: 10 training labels used (labels.count=10)"]
    with pytest.raises(DataError, match=r"labels.count=500: there are 12\d training labels"):
        draw_count(facts, codes, 500)


def test_fewer_labels_as_asked(tmp_path):
    facts, codes = data(tmp_path, ["a", "b"] * 100)
    assert fewer_labels(facts, codes, LabelsConfig())[0] is codes
    assert (fewer_labels(facts, codes, LabelsConfig(count=4))[0][0] == 1).sum() == 4
    with pytest.raises(DataError, match="give one of them"):
        fewer_labels(facts, codes, LabelsConfig(count=4, fraction=0.5))
    assert (
        fewer_labels(facts, codes, LabelsConfig(count=4, draw=1))[0] == draw_count(facts, codes, 4, draw=1)[0]
    ).all()


def test_a_draw_does_not_depend_on_other_items(tmp_path):
    labels = ["a", "b"] * 60
    facts, codes = data(tmp_path, labels)
    few = draw_count(facts, codes, 6)[0][0] == 1
    reversed_rows = [Row(f"i{k}", f"/d/i{k}", (8,)) for k in reversed(range(len(labels)))]
    again = resolve([*reversed_rows, Row("unlabelled", "/d/u", (8,))], LabelsConfig(source=str(tmp_path / "t.csv")))
    place = {name: i for i, name in enumerate(again.id)}
    turned = np.zeros((1, len(again.id)), dtype=codes.dtype)
    for i, name in enumerate(facts.id):
        turned[0, place[name]] = codes[0, i]
    chosen = draw_count(again, turned, 6)[0][0] == 1
    assert {again.id[i] for i in np.flatnonzero(chosen)} == {facts.id[i] for i in np.flatnonzero(few)}
