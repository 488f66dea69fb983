from __future__ import annotations

import numpy as np
import pytest

from ssl_platform.report.render import CLOUD, CURVES, STRIP, grey, render_default
from ssl_platform.types import Layout


def ramp(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def test_a_volume_is_three_middle_slices() -> None:
    x = np.zeros((1, 8, 6, 4), np.float32)
    x[0, 4], x[0, :, 3], x[0, :, :, 2] = 1, 2, 3
    picture = render_default(x, Layout("C D H W"))
    assert picture.shape == (8, 4 + 1 + 4 + 1 + 6) and picture.dtype == np.uint8
    assert (picture[:, 4] == 0).all() and (picture[6:, :4] == 0).all()


def test_three_channels_are_colours_and_other_numbers_grey() -> None:
    assert render_default(ramp(3, 5, 7), Layout("C H W")).shape == (5, 7, 3)
    assert render_default(ramp(2, 5, 7), Layout("C H W")).shape == (5, 7)


def test_a_spectrogram_has_its_low_frequencies_at_the_bottom() -> None:
    x = np.zeros((1, 10, 20), np.float32)
    x[0, 0] = 1
    assert (render_default(x, Layout("C F T"))[-1] == 255).all()


def test_a_film_shows_its_moments_in_order() -> None:
    x = np.broadcast_to(np.arange(9, dtype=np.float32)[None, :, None, None], (1, 9, 4, 4))
    picture = render_default(x + ramp(1, 1, 4, 4) * 1e-6, Layout("C T H W"))
    assert picture.shape == (4, 4 * 4 + 3)


def test_a_signal_is_one_strip_a_channel() -> None:
    picture = render_default(np.sin(ramp(6, 500) / 20), Layout("C T"))
    assert picture.shape == (STRIP[0] * CURVES, STRIP[1])
    assert ((picture > 0).sum(axis=0) >= CURVES).all(), "no column without a curve"


def test_a_rising_signal_rises() -> None:
    picture = render_default(ramp(1, 160), Layout("C T"))
    assert picture[:, 0].argmax() > picture[:, -1].argmax()


def test_points_are_seen_from_two_sides() -> None:
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 0, 1], [np.nan, 0, 0]], np.float32)
    picture = render_default(points, Layout("N C"))
    assert picture.shape == (CLOUD, 2 * CLOUD + 1)
    assert picture[-1, 0] and picture[-1, CLOUD - 1] and picture[0, 0]


@pytest.mark.parametrize("axes", ["C H W", "C D H W", "C F T"])
def test_nothing_finite_is_black(axes: str) -> None:
    shape = (1, *[4] * (len(axes.split()) - 1))
    assert (render_default(np.full(shape, np.nan, np.float32), Layout(axes)) == 0).all()


def test_grey_is_robust_to_outliers_and_constants() -> None:
    x = np.linspace(0, 1, 1000, dtype=np.float32)
    x[0] = 1e6
    assert grey(x)[500] in range(120, 136)
    assert (grey(np.full(5, 3.0)) == 128).all()
    assert grey(np.array([0.0, np.nan, np.inf, 1.0, 0.5])).tolist()[1:3] == [0, 255]
