"""Pictures: three planes in radiological convention."""

import numpy as np

from ssl_platform_medical3d.render import render


def test_sides_are_where_radiologists_expect_them():
    volume = np.zeros((1, 6, 8, 10), np.float32)
    volume[0, :, :, 7:] = 1.0  # the patient's right
    picture = render(volume, (0.0, 1.0))
    assert picture.dtype == np.uint8 and picture.shape == (8, 10 + 1 + 10 + 1 + 8)
    assert (picture[:8, :3] == 255).all() and (picture[:8, 3:10] == 0).all()
    front = np.zeros((1, 6, 8, 10), np.float32)
    front[0, :, 6:, :] = 1.0
    assert (render(front, (0.0, 1.0))[:2, :10] == 255).all()
    head = np.zeros((1, 6, 8, 10), np.float32)
    head[0, 5] = 1.0
    assert (render(head, (0.0, 1.0))[0, 11:21] == 255).all()


def test_values_that_are_not_finite_do_not_break_it():
    volume = np.random.default_rng(0).random((1, 4, 4, 4)).astype(np.float32)
    volume[0, 0, 0, 0] = np.nan
    assert render(volume, None).max() > 200
    assert render(np.full((1, 3, 3, 3), np.nan), None).shape == (3, 11)
