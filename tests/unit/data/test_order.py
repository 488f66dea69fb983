from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ssl_platform.data.order import Mixture, Order, permute, source_weights, uniforms


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 1000, 4097])
def test_permute_is_a_bijection(n: int) -> None:
    order = permute(np.arange(n), n, 12345)
    assert sorted(order.tolist()) == list(range(n))


def test_permute_depends_on_the_key_and_not_on_the_batch() -> None:
    whole = permute(np.arange(1000), 1000, 1)
    assert np.array_equal(whole[200:230], permute(np.arange(200, 230), 1000, 1))
    assert (whole != permute(np.arange(1000), 1000, 2)).mean() > 0.99


def test_permute_has_no_trend() -> None:
    """Where a value lands is uniform over keys: neither the place nor the order of neighbours is preferred."""
    n, keys = 10, np.arange(20000, dtype=np.uint64)
    for value in (0, 9):
        landed = permute(np.full(len(keys), value), n, keys)
        assert stats.chisquare(np.bincount(landed, minlength=n)).pvalue > 1e-4
    ahead = permute(np.full(len(keys), 3), n, keys) < permute(np.full(len(keys), 4), n, keys)
    assert abs(ahead.mean() - 0.5) < 0.02


def test_uniforms_are_uniform_and_independent() -> None:
    numbers = uniforms(7, np.arange(5000), 4)
    assert numbers.min() >= 0 and numbers.max() < 1
    assert all(stats.kstest(column, "uniform").pvalue > 1e-4 for column in numbers.T)
    correlation = np.corrcoef(np.concatenate([numbers[:-1].T, numbers[1:].T]))
    assert np.abs(correlation - np.eye(8)).max() < 0.06


def test_every_epoch_visits_every_slot_once_in_an_order_of_its_own() -> None:
    order = Order([np.arange(5, 12)], [1.0], 3, seed=1)
    epochs = [order.at(np.arange(21) + 21 * e) for e in range(3)]
    pairs = [list(zip(p.row.tolist(), p.slot.tolist(), strict=True)) for p in epochs]
    assert all(sorted(p) == [(r, s) for r in range(5, 12) for s in range(3)] for p in pairs)
    assert pairs[0] != pairs[1] != pairs[2]
    assert [set(p.epoch.tolist()) for p in epochs] == [{0}, {1}, {2}]


def test_mixture_shares_exactly_and_numbers_without_gaps() -> None:
    mixture = Mixture([3.0, 1.0], seed=0)
    component, number = mixture.locate(np.arange(2 * 4096))
    assert np.bincount(component).tolist() == [6144, 2048]
    for c in (0, 1):
        assert sorted(number[component == c].tolist()) == list(range((component == c).sum()))
    first, second = component[:4096], component[4096:]
    assert not np.array_equal(first, second)


def test_a_rare_component_is_never_lost() -> None:
    component, _ = Mixture([1e6, 1.0, 1.0], seed=0).locate(np.arange(4096))
    assert np.bincount(component)[1:].tolist() == [1, 1]


def test_sources_mix_by_weight_with_epochs_of_their_own() -> None:
    order = Order([np.arange(10), np.arange(10, 1010)], [0.5, 0.5], 1, seed=3)
    places = order.at(np.arange(4096))
    small = places.row < 10
    assert small.mean() == pytest.approx(0.5)
    assert places.epoch[small].max() == 204 and places.epoch[~small].max() == 2
    assert np.bincount(places.row[small]).max() - np.bincount(places.row[small]).min() <= 1


def test_source_weights_default_to_sizes() -> None:
    assert source_weights({}, {"a": 30, "b": 10}) == {"a": 0.75, "b": 0.25}
    assert source_weights({"a": 1, "b": 1}, {"a": 30, "b": 10}) == {"a": 0.5, "b": 0.5}
    with pytest.raises(ValueError, match="positive"):
        source_weights({"a": 0}, {"a": 1})
