"""Foreground: the body and its cavities, not the air or the table."""

import numpy as np

from ssl_platform_medical3d.foreground import otsu, positions


def ball(shape, centre, radius):
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    return np.linalg.norm(grid - np.array(centre)[:, None, None, None], axis=0) < radius


def test_ct_body_with_lungs_but_without_table():
    shape = (40, 40, 40)
    data = np.full(shape, -1000, np.int16)
    body = ball(shape, (20, 22, 20), 13)
    data[body] = 40
    data[ball(shape, (20, 22, 20), 6)] = -800
    data[:, 2:4, :] = 200
    cells, fraction = positions(data[None], None, "ct")
    inside = body[tuple(cells.T)]
    assert inside.all() and len(cells) == 2048
    assert (data[tuple(cells.T)] == -800).any()
    assert fraction == np.mean(body)


def test_large_volumes_use_a_coarse_grid_and_stay_inside():
    data = np.zeros((1, 50, 130, 90), np.float16)
    data[0][ball((50, 130, 90), (25, 60, 45), 20)] = 1.0
    cells, _ = positions(data, None, "mr")
    assert cells.dtype == np.int32 and (cells >= 0).all() and (cells < data.shape[1:]).all()
    assert data[0][tuple(cells.T)].all()


def test_nearly_all_or_nothing_has_no_foreground():
    assert positions(np.full((1, 9, 9, 9), 40, np.int16), None, "ct")[0] is None
    assert positions(np.full((1, 9, 9, 9), -1000, np.int16), None, "ct")[0] is None


def test_invalid_cells_are_never_foreground():
    data = np.random.default_rng(0).random((1, 16, 16, 16)).astype(np.float16)
    valid = np.zeros((16, 16, 16), bool)
    valid[:, :, :8] = True
    cells, _ = positions(data, valid, None)
    assert valid[tuple(cells.T)].all()
    assert positions(data, np.zeros_like(valid), None) == (None, 0.0)


def test_otsu_splits_two_modes():
    rng = np.random.default_rng(0)
    assert 0.3 < otsu(np.concatenate([rng.normal(0.1, 0.03, 900), rng.normal(0.8, 0.05, 100)])) < 0.65
