"""Surface distances in mm: closed forms, and what is said where a class is missing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ssl_platform_medical3d.distances import hausdorff95


def slab(first: int, last: int) -> np.ndarray:
    volume = np.zeros((20, 12, 10), np.int16)
    volume[first:last] = 1
    return volume


def test_a_shifted_slab_is_as_far_as_it_was_shifted() -> None:
    for spacing in ((1.0, 1.0, 1.0), (2.5, 1.0, 0.5)):
        found = hausdorff95(slab(4, 9), slab(7, 12), spacing, {1: "slab"})
        assert found == {"hd95": pytest.approx(3 * spacing[0]), "hd95_slab": pytest.approx(3 * spacing[0])}
    assert hausdorff95(slab(4, 9), slab(4, 9), (1, 1, 1), {1: "slab"})["hd95"] == 0


def test_a_stray_voxel_does_not_count() -> None:
    stray = slab(4, 9)
    stray[19, 0, 0] = 1
    assert hausdorff95(slab(4, 9), stray, (1, 1, 1), {1: "slab"})["hd95"] == 0


def test_missing_classes_cost_the_diagonal_or_nothing() -> None:
    target = slab(4, 9)
    target[12:14] = 2
    classes = {1: "a", 2: "b", 3: "c"}
    found = hausdorff95(target, slab(4, 9), (1, 2, 2), classes)
    diagonal = math.sqrt(20**2 + 24**2 + 20**2)
    assert found["hd95_a"] == 0 and found["hd95_b"] == pytest.approx(diagonal) and math.isnan(found["hd95_c"])
    assert found["hd95"] == pytest.approx(diagonal / 2)


def test_unknown_cells_do_not_count() -> None:
    target = slab(4, 9)
    target[9:] = -1
    assert hausdorff95(target, slab(4, 15), (1, 1, 1), {1: "slab"})["hd95"] == 0
