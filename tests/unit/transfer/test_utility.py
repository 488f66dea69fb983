"""Labels saved: the inverted curve, exactly where it is known and never beyond."""

from __future__ import annotations

import numpy as np
import pytest

from ssl_platform.transfer.utility import utility

GRID = (10, 20, 40, 80, 160, 320)


@pytest.mark.parametrize("curve", [[0.1, 0.3, 0.5, 0.6, 0.8, 0.9], [0.1, 0.3, 0.3, 0.25, 0.8, 0.8]])
def test_an_encoder_as_good_as_none_saves_nothing(curve: list[float]) -> None:
    found = utility(GRID, np.array(curve), GRID, np.array(curve))
    np.testing.assert_allclose(found.saved, 0, atol=1e-6)
    assert not found.censored.any()


def test_a_curve_shifted_by_four_saves_three_of_four_labels() -> None:
    curve = np.array([0.1, 0.3, 0.5, 0.6, 0.8, 0.9])
    found = utility(GRID[:4], curve[2:], GRID, curve)
    np.testing.assert_allclose(found.saved, 3)
    between = utility((15,), np.array([0.4]), GRID, curve)  # half of the way from 20 to 40 in log n
    assert between.saved[0] == pytest.approx(np.sqrt(20 * 40) / 15 - 1)


def test_beyond_the_curve_is_told_and_never_guessed() -> None:
    curve = np.array([0.3, 0.5, 0.6])
    found = utility((10, 20, 40), np.array([0.1, 0.55, 0.99]), (10, 20, 40), curve)
    assert found.censored.tolist() == [-1, 0, 1]
    np.testing.assert_allclose(found.saved[[0, 2]], [0, 0])
