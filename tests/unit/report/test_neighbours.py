from __future__ import annotations

import numpy as np
import torch

from ssl_platform.report.neighbours import agreement, nearest, spread_out


def test_the_own_group_is_never_found() -> None:
    z = torch.tensor([[1.0, 0.0], [0.99, 0.1], [0.0, 1.0], [0.1, 0.99], [-1.0, 0.0]])
    similarity, places = nearest(z, ["a", "a", "b", "b", "c"], 2)
    assert places[0].tolist() == [3, 2] and places[2].tolist()[0] == 1
    assert (similarity.diff(dim=1) <= 0).all() and similarity.max() <= 1


def test_fewer_others_than_asked_for() -> None:
    similarity, places = nearest(torch.eye(4), ["a", "a", "a", "b"], 3)
    assert places.shape == similarity.shape == (4, 1)


def test_questions_cover_classes_and_the_set() -> None:
    target = np.array([0] * 50 + [1] * 40 + [2] * 10 + [-1] * 20)
    asked = spread_out(120, 6, target)
    assert sorted(target[asked].tolist()) == [0, 0, 1, 1, 2, 2] and len(set(asked)) == 6
    assert spread_out(100, 3, None) == [0, 50, 99] or spread_out(100, 3, None) == [0, 49, 99]
    assert spread_out(2, 8, None) == [0, 1]


def test_agreement_against_chance() -> None:
    target = np.array([0, 0, 1, 1, -1])
    places = torch.tensor([[1, 2], [0, 3], [3, 4], [2, 0], [0, 1]])
    same, chance = agreement(places, target)
    assert same == 4 / 7 and chance == 0.5
    assert agreement(places, np.full(5, -1)) == (None, None)
