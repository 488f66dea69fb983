"""Resampling: grids share their outer edge, linear ramps and constants stay, validity does not leak."""

import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_medical3d.resample import resample_linear, resample_nearest, resample_valid, target_grid


def centres(n, mm):
    return (np.arange(n) + 0.5) * mm


@pytest.mark.parametrize("target", [(1.0, 1.0, 1.0), (2.5, 0.5, 1.3), (7.0, 3.0, 0.4)])
def test_a_linear_ramp_stays_where_it_was_in_mm(target):
    shape, spacing = (20, 24, 28), (2.0, 1.0, 1.0)
    ramp = sum(
        c.reshape([-1 if a == axis else 1 for a in range(3)])
        for axis, c in enumerate(3.0 * centres(n, mm) for n, mm in zip(shape, spacing, strict=True))
    )
    new_shape, new_spacing = target_grid(shape, spacing, target)
    steps = [new / old for new, old in zip(new_spacing, spacing, strict=True)]
    out = resample_linear(ramp, new_shape, steps)
    expected = sum(
        c.reshape([-1 if a == axis else 1 for a in range(3)])
        for axis, c in enumerate(3.0 * centres(n, mm) for n, mm in zip(new_shape, new_spacing, strict=True))
    )
    # Away from the border, where there is nothing to interpolate with.
    edge = [int(np.ceil(max(1.0, 1 / step))) for step in steps]
    assert all(n > 2 * e for n, e in zip(new_shape, edge, strict=True))
    inner = tuple(slice(e, -e) for e in edge)
    assert np.allclose(out[inner], expected[inner], atol=2e-3)
    assert np.all(
        np.abs(np.array(new_shape) * new_spacing - np.array(shape) * spacing) <= np.array(new_spacing) / 2 + 1e-9
    )


@pytest.mark.parametrize("shape", [(5, 9, 4), (40, 3, 17)])
def test_constants_stay_constant(shape):
    out = resample_linear(
        np.full((2, 10, 11, 12), 7.0), shape, [n / m for n, m in zip((10, 11, 12), shape, strict=True)]
    )
    assert out.shape == (2, *shape)
    assert np.allclose(out, 7.0)


def test_equal_spacing_within_a_thousandth_is_left_alone():
    assert target_grid((10, 10, 10), (1.0, 1.0, 1.0), (1.0004, 0.9996, 2.0)) == ((10, 10, 5), (1.0, 1.0, 2.0))
    assert target_grid((10, 10, 10), (1.0, 1.0, 1.0), None) == ((10, 10, 10), (1.0, 1.0, 1.0))


def test_shrinking_averages_instead_of_skipping():
    stripes = np.zeros((1, 32, 4, 4))
    stripes[:, ::2] = 1.0
    out = resample_linear(stripes, (8, 4, 4), (4.0, 1.0, 1.0))
    assert np.allclose(out[:, 1:-1], 0.5, atol=1e-6)


def test_an_absurd_grid_is_refused_before_it_is_made():
    with pytest.raises(Unreadable, match="are its voxels really 500x500x500 mm"):
        target_grid((1000, 1000, 1000), (500.0, 500.0, 500.0), (0.1, 0.1, 0.1))


def test_invalid_cells_do_not_leak():
    volume = np.ones((1, 16, 8, 8), np.float32)
    valid = np.ones((16, 8, 8), bool)
    valid[:8] = False
    first, first_valid = resample_valid(volume, valid, (8, 8, 8), (2.0, 1.0, 1.0))
    volume[:, :8] = 1e6
    second, second_valid = resample_valid(volume, valid, (8, 8, 8), (2.0, 1.0, 1.0))
    assert np.array_equal(first, second)
    assert np.array_equal(first_valid, second_valid)
    assert second_valid[:4].sum() == 0 and second_valid[4:].all()
    assert np.allclose(first[0][first_valid], 1.0)


def test_labels_go_to_a_finer_grid_and_back_unchanged():
    labels = np.random.default_rng(0).integers(0, 5, (6, 7, 8))
    fine = resample_nearest(labels, (18, 14, 8), (1 / 3, 0.5, 1.0))
    assert np.array_equal(resample_nearest(fine, labels.shape, (3.0, 2.0, 1.0)), labels)
    assert set(np.unique(fine)) <= set(np.unique(labels))


def test_a_volume_in_another_unit_is_refused_before_it_shrinks_to_a_voxel():
    with pytest.raises(Unreadable, match=r"would be 1x1x1 voxels .* 'spacing' overrules the header"):
        target_grid((40, 50, 60), (1e-3, 1e-3, 1e-3), (1.0, 1.0, 1.0))
    assert target_grid((40, 50, 3), (1.0, 1.0, 0.4), (1.0, 1.0, 1.0))[0] == (40, 50, 1)
