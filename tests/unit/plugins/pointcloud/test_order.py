"""The order points are stored in."""

import itertools

import numpy as np

from ssl_platform_pointcloud.order import along_curve, hilbert, shuffled


def test_the_curve_visits_every_cell_one_step_at_a_time():
    for rank, bits in ((2, 4), (3, 3)):
        cells = np.array(list(itertools.product(range(2**bits), repeat=rank)), dtype=np.uint32)
        code = hilbert(cells, bits)
        assert sorted(code.tolist()) == list(range(2 ** (bits * rank)))
        path = cells[np.argsort(code)].astype(int)
        assert (np.abs(np.diff(path, axis=0)).sum(axis=1) == 1).all()


def test_a_range_of_the_curve_is_a_small_region():
    rng = np.random.default_rng(0)
    xyz = rng.uniform(size=(20_000, 3)) * [100, 100, 5] + 5e6
    order = along_curve(xyz)
    assert sorted(order.tolist()) == list(range(20_000))
    regions = xyz[order].reshape(20, 1000, 3)
    spread = np.linalg.norm(regions - regions.mean(axis=1, keepdims=True), axis=2).mean()
    assert spread < 0.35 * np.linalg.norm(xyz - xyz.mean(axis=0), axis=1).mean()


def test_points_in_one_place_do_not_matter():
    assert sorted(along_curve(np.zeros((5, 3))).tolist()) == [0, 1, 2, 3, 4]


def test_a_range_of_shuffled_points_is_spread_over_all():
    order = shuffled(10_000)
    assert np.array_equal(order, shuffled(10_000)) and sorted(order.tolist()) == list(range(10_000))
    for part in order.reshape(10, 1000):
        assert np.abs(np.histogram(part, 4, (0, 10_000))[0] - 250).max() < 60
