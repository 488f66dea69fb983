"""Orientation: exact on all 48 signed permutations, stable under small rotations, right for LPS files."""

import itertools

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_platform.errors import Unreadable
from ssl_platform_medical3d.orientation import (
    affine_of_codes,
    check_affine,
    codes_of,
    lps_to_ras,
    orientation_of,
    shear_degrees,
    voxel_spacing,
)

ALL_CODES = [
    "".join(signs[axis][pick] for axis, pick in zip(order, picks, strict=True))
    for signs in [("RL", "AP", "SI")]
    for order in itertools.permutations(range(3))
    for picks in itertools.product((0, 1), repeat=3)
]


def rotation(angles):
    a, b, c = angles
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return rx @ ry @ rz


@pytest.mark.parametrize("codes", ALL_CODES)
def test_every_storage_order_is_named_turned_and_turned_back(codes):
    affine = affine_of_codes(codes, (1.0, 2.0, 3.0))
    assert codes_of(affine) == codes == "".join(nibabel.aff2axcodes(affine))
    orientation = orientation_of(affine)
    volume = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    turned = orientation.apply(volume)
    assert turned.shape == orientation.shape(volume.shape)
    assert np.array_equal(orientation.invert(turned), volume)
    # After turning, D, H, W grow towards superior, anterior and right.
    canonical = nibabel.as_closest_canonical(nibabel.Nifti1Image(volume.astype(np.int16), affine))
    assert np.array_equal(turned, np.asarray(canonical.dataobj).transpose(2, 1, 0))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(ALL_CODES),
    st.tuples(*[st.floats(-0.5, 0.5)] * 3),
    st.tuples(*[st.floats(0.3, 6.0)] * 3),
    st.tuples(*[st.floats(-200, 200)] * 3),
    st.tuples(*[st.integers(2, 6)] * 3),
)
def test_a_voxel_keeps_its_place_in_the_world(codes, angles, spacing, origin, shape):
    affine = affine_of_codes(codes, spacing)
    affine[:3, :3] = rotation(angles) @ affine[:3, :3]
    affine[:3, 3] = origin
    check_affine(affine)
    orientation = orientation_of(affine)
    turned_affine = orientation.affine(affine, shape)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(float)
    world = np.einsum("ab,bijk->aijk", affine[:3, :3], index) + affine[:3, 3, None, None, None]
    moved = orientation.apply(world)
    cells = np.stack(np.meshgrid(*map(np.arange, orientation.shape(shape)), indexing="ij")).astype(float)
    again = np.einsum("ab,bdhw->adhw", turned_affine[:3, :3], cells) + turned_affine[:3, 3, None, None, None]
    assert np.allclose(moved, again, atol=1e-9)
    assert np.allclose(sorted(voxel_spacing(turned_affine)), sorted(spacing))
    # Spacing along D belongs to the axis that became D.
    assert np.allclose(voxel_spacing(turned_affine), voxel_spacing(affine)[list(orientation.axes)])


def test_lps_is_ras_with_x_and_y_reversed():
    lps = np.diag([1.0, 1.0, 1.0, 1.0])
    lps[:3, 3] = (10, 20, 30)
    assert codes_of(lps_to_ras(lps)) == "LPS"
    assert np.allclose(lps_to_ras(lps)[:3, 3], (-10, -20, 30))


def test_shear_is_measured_and_rotation_is_none():
    affine = affine_of_codes("RAS", (1, 2, 3))
    affine[:3, :3] = rotation((0.2, 0.1, -0.3)) @ affine[:3, :3]
    assert shear_degrees(affine) < 1e-6
    sheared = np.eye(4)
    sheared[0, 1] = np.tan(np.radians(12))
    assert shear_degrees(sheared) == pytest.approx(12)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda a: a.__setitem__((0, 0), np.nan), "not finite"),
        (lambda a: a.__setitem__((2, 2), 0.0), "zero voxel spacing"),
        (lambda a: a.__setitem__((slice(None), 1), a[:, 0]), "singular"),
        (lambda a: a.__setitem__((0, 1), 0.4), "sheared"),
    ],
)
def test_a_damaged_affine_is_refused(change, why):
    affine = np.eye(4)
    change(affine)
    with pytest.raises(Unreadable, match=why):
        check_affine(affine)


@pytest.mark.parametrize("codes", ["RAR", "XYZ", "RA", "LRS"])
def test_wrong_codes_are_refused(codes):
    with pytest.raises(ValueError, match="three axes"):
        affine_of_codes(codes, (1, 1, 1))
