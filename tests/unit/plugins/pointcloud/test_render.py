"""Pictures of clouds."""

import numpy as np

from ssl_platform_pointcloud.render import SIDE, render

XYZ = np.random.default_rng(0).uniform(-1, 1, (500, 3)).astype(np.float32)


def test_front_and_above():
    column = XYZ * [0.1, 0.1, 1.0]
    picture = render(column, ("x", "y", "z"))
    assert picture.shape == (SIDE, 2 * SIDE + 1) and picture.dtype == np.uint8
    front, above = picture[:, :SIDE] > 0, picture[:, SIDE + 1 :] > 0
    assert front.any(axis=1).mean() > 0.9 and front.any(axis=0).mean() < 0.2
    assert above.any(axis=1).mean() < 0.2 and above.any(axis=0).mean() < 0.2


def test_the_nearest_point_is_seen_in_its_colour():
    x = np.array([[1, -1, 1, 1, 0, 0], [1, 1, 1, 0, 1, 0], [-1, 0, -1, 0, 0, 1]], np.float32)
    picture = render(x, ("x", "y", "z", "red", "green", "blue"))
    assert picture.shape == (SIDE, 2 * SIDE + 1, 3)
    front = picture[:, :SIDE].reshape(-1, 3)
    assert front[:, 0].max() == 255 and front[:, 1].max() == 0, "red stands before green"


def test_padding_and_nothing_at_all():
    padded = np.concatenate([XYZ, np.zeros((100, 3), np.float32)])
    assert np.array_equal(render(padded, ("x", "y", "z")), render(XYZ, ("x", "y", "z")))
    assert not render(np.zeros((4, 3)), ("x", "y", "z")).any()
