"""A prediction comes back on the source's voxels, in its affine, whatever the format and orientation."""

import nibabel
import numpy as np
import pytest

from ssl_platform.errors import DataError
from ssl_platform_medical3d.items import fit, rows_of
from ssl_platform_medical3d.masks import read_mask
from ssl_platform_medical3d.options import Medical3DOptions
from ssl_platform_medical3d.orientation import affine_of_codes
from ssl_platform_medical3d.predictions import write_prediction
from ssl_platform_medical3d.readers import metaimage, nifti, nrrd, reader_of
from ssl_platform_medical3d.testing import write_dicom_series

NATIVE = Medical3DOptions(modality="ct", spacing="native")
SHAPE = (9, 8, 7)


def oblique(codes):
    affine = affine_of_codes(codes, (0.7, 0.8, 3.0))
    a, b = np.radians((11, -6))
    turn = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    turn = turn @ np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = (12.5, -30.0, 101.0)
    return affine


def source(folder, kind, affine):
    data = np.random.default_rng(0).integers(-1000, 1500, SHAPE).astype(np.int16)
    match kind:
        case "nifti":
            return nifti.write(folder / "x.nii.gz", data, affine)
        case "nrrd":
            return nrrd.write(folder / "x.nrrd", data, affine)
        case "metaimage":
            return metaimage.write(folder / "x.mha", data, affine)
    return write_dicom_series(folder / "series", data, affine)


@pytest.mark.parametrize(
    ("kind", "suffix"), [("nifti", ".nii.gz"), ("nrrd", ".nrrd"), ("metaimage", ".mha"), ("dicom", ".nii.gz")]
)
@pytest.mark.parametrize("codes", ["LPS", "RAS", "SAR", "PIR"])
def test_identity_spacing_gives_the_mask_back(tmp_path, kind, suffix, codes):
    affine = oblique(codes)
    path = source(tmp_path, kind, affine)
    row = fit(next(iter(rows_of(path, NATIVE))), NATIVE)
    labels = np.random.default_rng(1).integers(0, 4, SHAPE).astype(np.uint8)
    mask = nifti.write(tmp_path / "mask.nii.gz", labels, affine)
    normalised = read_mask(row, mask, NATIVE)
    assert normalised.shape == row.shape
    written = write_prediction(row, normalised, tmp_path / "out" / "p", NATIVE)
    assert written.name == f"p{suffix}"
    header = next(iter(reader_of(written).read_headers(written)))
    values = reader_of(written).read_voxels(header)[0]
    if kind == "dicom" and np.linalg.det(affine[:3, :3]) < 0:
        # DICOM slices are always counted along their normal: a left-handed volume comes back with slices reversed.
        affine = affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, SHAPE[2] - 1], [0, 0, 0, 1.0]])
        labels = labels[:, :, ::-1]
    assert np.allclose(header.affine, affine, atol=2e-4)
    assert np.array_equal(values, labels) and values.dtype == np.uint8


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.5, 0.35, 0.4)])
def test_resampled_predictions_return_to_the_source_grid(tmp_path, spacing):
    options = Medical3DOptions(modality="ct", spacing=spacing)
    affine = affine_of_codes("LAS", (0.7, 0.8, 3.0))
    path = nifti.write(tmp_path / "x.nii.gz", np.zeros((40, 36, 12), np.int16), affine)
    row = fit(next(iter(rows_of(path, options))), options)
    # A ball known in world coordinates, written on both grids.
    index = np.stack(np.meshgrid(*map(np.arange, (40, 36, 12)), indexing="ij"))
    world = np.einsum("ab,bijk->aijk", affine[:3, :3], index) + affine[:3, 3, None, None, None]
    middle = affine[:3, :3] @ (19.5, 17.5, 5.5)
    ball = (np.linalg.norm(world - middle[:, None, None, None], axis=0) < 11).astype(np.uint8)
    normalised = read_mask(row, nifti.write(tmp_path / "m.nii.gz", ball, affine), options)
    back = nibabel.load(write_prediction(row, normalised, tmp_path / "p.nii.gz", options))
    found = np.asarray(back.dataobj)
    assert found.shape == (40, 36, 12) and np.allclose(back.affine, affine)
    dice = 2 * (found * ball).sum() / (found.sum() + ball.sum())
    assert dice > (0.999 if spacing[1] < 0.5 else 0.95)


def test_floats_are_interpolated_and_large_labels_kept(tmp_path):
    path = nifti.write(tmp_path / "x.nii.gz", np.zeros(SHAPE, np.int16), np.eye(4))
    row = fit(next(iter(rows_of(path, NATIVE))), NATIVE)
    probability = np.random.default_rng(0).random(row.shape).astype(np.float32)
    out = nibabel.load(write_prediction(row, probability, tmp_path / "p.nii", NATIVE))
    assert np.allclose(np.asarray(out.dataobj), probability.transpose(2, 1, 0))
    labels = np.full(row.shape, 300)
    out = nibabel.load(write_prediction(row, labels, tmp_path / "q.nii", NATIVE))
    assert out.get_data_dtype() == np.int16 and np.asarray(out.dataobj).max() == 300


def test_a_wrong_shape_is_refused(tmp_path):
    path = nifti.write(tmp_path / "x.nii.gz", np.zeros(SHAPE, np.int16), np.eye(4))
    row = fit(next(iter(rows_of(path, NATIVE))), NATIVE)
    with pytest.raises(DataError, match="does not fit"):
        write_prediction(row, np.zeros((3, 3, 3), np.uint8), tmp_path / "p", NATIVE)
