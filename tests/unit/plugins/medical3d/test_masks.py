"""Masks must lie on their image's voxels, or be resampled on request."""

import numpy as np
import pytest

from ssl_platform.errors import Misfit, Unreadable
from ssl_platform_medical3d.items import fit, rows_of
from ssl_platform_medical3d.masks import read_mask
from ssl_platform_medical3d.options import Medical3DOptions
from ssl_platform_medical3d.orientation import affine_of_codes
from ssl_platform_medical3d.readers import nifti, nrrd

OPTIONS = Medical3DOptions(modality="ct", spacing="native")
AFFINE = affine_of_codes("LPS", (1.0, 1.0, 2.0))
LABELS = np.random.default_rng(0).integers(0, 3, (9, 8, 7)).astype(np.uint8)


@pytest.fixture
def row(tmp_path):
    path = nifti.write(tmp_path / "x.nii.gz", np.zeros((9, 8, 7), np.int16), AFFINE)
    return fit(next(iter(rows_of(path, OPTIONS))), OPTIONS)


def test_formats_may_differ(row, tmp_path):
    expected = LABELS.transpose(2, 1, 0)[:, ::-1, ::-1]
    for path in (
        nifti.write(tmp_path / "m.nii", LABELS.astype(np.float32), AFFINE),
        nrrd.write(tmp_path / "m.nrrd", LABELS, AFFINE),
    ):
        mask = read_mask(row, path, OPTIONS)
        assert mask.dtype == np.int16 and np.array_equal(mask, expected)


def test_another_shape_names_both(row, tmp_path):
    path = nifti.write(tmp_path / "m.nii", LABELS[:-1], AFFINE)
    with pytest.raises(Misfit, match=r"shape 8x8x7, its image has 9x8x7.*labels\.resample=nearest"):
        read_mask(row, path, OPTIONS)


def test_another_affine_names_both(row, tmp_path):
    moved = AFFINE.copy()
    moved[:3, 3] += (5.0, 0, 0)
    path = nifti.write(tmp_path / "m.nii", LABELS, moved)
    with pytest.raises(Misfit, match=r"up to 5\.0 mm apart: origin \(-3\.0, -7\.0, 0\.0\) and \(-8\.0, -7\.0, 0\.0\)"):
        read_mask(row, path, OPTIONS)


def test_the_same_voxels_in_another_storage_order_fit(row, tmp_path):
    # Labels stored as RAS, as other converters write them: other voxel order, same places.
    other = AFFINE @ np.array([[-1, 0, 0, 8], [0, -1, 0, 7], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    path = nifti.write(tmp_path / "m.nii", np.ascontiguousarray(LABELS[::-1, ::-1]), other)
    assert np.array_equal(read_mask(row, path, OPTIONS), LABELS.transpose(2, 1, 0)[:, ::-1, ::-1])


def test_a_coarser_mask_is_brought_to_the_image(row, tmp_path):
    coarse = np.zeros((5, 4, 7), np.uint8)
    coarse[2:4, 1:3, 3] = 1
    affine = AFFINE @ np.diag([2.0, 2.0, 1.0, 1.0])
    affine[:3, 3] += AFFINE[:3, :3] @ (0.5, 0.5, 0.0)
    mask = read_mask(row, nifti.write(tmp_path / "m.nii", coarse, affine), OPTIONS, resample=True)
    expected = np.repeat(np.repeat(coarse, 2, 0), 2, 1)[:9].transpose(2, 1, 0)[:, ::-1, ::-1]
    assert np.array_equal(mask, expected)


@pytest.mark.parametrize(("values", "why"), [(0.5, "not whole numbers"), (np.nan, "not finite")])
def test_values_must_be_labels(row, tmp_path, values, why):
    data = LABELS.astype(np.float32)
    data[1, 1, 1] = values
    with pytest.raises(Unreadable, match=why):
        read_mask(row, nifti.write(tmp_path / "m.nii", data, AFFINE), OPTIONS)


def test_a_plain_array_lies_on_its_image_in_normalised_axes(row, tmp_path):
    turned = LABELS.transpose(2, 1, 0)[:, ::-1, ::-1]
    np.save(tmp_path / "m.npy", turned)
    assert np.array_equal(read_mask(row, tmp_path / "m.npy", OPTIONS), turned)
    np.save(tmp_path / "n.npy", LABELS)
    with pytest.raises(Misfit, match=r"9x8x7 \(z, y, x\), its image has 7x8x9"):
        read_mask(row, tmp_path / "n.npy", OPTIONS)
