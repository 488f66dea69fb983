"""One volume in every format gives one prepared array; values, validity and channels follow their rules."""

import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_medical3d.items import fit, rows_of
from ssl_platform_medical3d.options import Medical3DOptions
from ssl_platform_medical3d.orientation import affine_of_codes, orientation_of
from ssl_platform_medical3d.prepare import prepare
from ssl_platform_medical3d.readers import metaimage, nifti, nrrd
from ssl_platform_medical3d.testing import write_dicom_series, write_zarr

CT = Medical3DOptions(modality="ct", spacing="native")
SHAPE = (9, 8, 7)


def volume(seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(-1000, 1500, SHAPE).astype(np.int16)


def oblique(codes="LPS", spacing=(0.7, 0.8, 3.0)):
    affine = affine_of_codes(codes, spacing)
    angle = np.radians(9)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = (12.5, -30.0, 101.0)
    return affine


def read(path, options=CT):
    row = next(iter(rows_of(path, options)))
    row = fit(row, options)
    return row, prepare(row, options)


def write(folder, format_name, data, affine):
    match format_name:
        case "nii" | "nii.gz":
            return nifti.write(folder / f"x.{format_name}", data, affine)
        case "nrrd":
            return nrrd.write(folder / "x.nrrd", data, affine)
        case "mha" | "mhd":
            return metaimage.write(folder / f"x.{format_name}", data, affine)
        case "dicom":
            return write_dicom_series(folder / "series", data, affine)
    turned = np.ascontiguousarray(orientation_of(affine).apply(data))
    d, h, w = (np.linalg.norm(affine[:3, axis]) for axis in orientation_of(affine).axes)
    if format_name == "npz":
        np.savez(folder / "x.npz", data=turned, spacing=[d, h, w])
        return folder / "x.npz"
    return write_zarr(folder / "x.zarr", turned, (d, h, w))


@pytest.mark.parametrize("format_name", ["nii", "nii.gz", "nrrd", "mha", "mhd", "dicom", "npz", "zarr"])
@pytest.mark.parametrize("codes", ["LPS", "RAS", "ASL"])
def test_all_formats_agree(tmp_path, format_name, codes):
    data, affine = volume(), oblique(codes)
    row, prepared = read(write(tmp_path, format_name, data, affine))
    expected = orientation_of(affine).apply(data)
    assert np.array_equal(prepared.data[0], np.maximum(expected, -1024))
    assert prepared.data.dtype == np.int16 and prepared.channels == row.channels == ("ct",)
    assert prepared.data.shape[1:] == row.shape == orientation_of(affine).shape(SHAPE)
    assert np.allclose(
        prepared.spacing, [np.linalg.norm(affine[:3, a]) for a in orientation_of(affine).axes], rtol=1e-5
    )
    # DICOM counts slices along their normal, so left-handed storage comes back with slices reversed.
    reversed_slices = format_name == "dicom" and np.linalg.det(affine[:3, :3]) < 0
    if format_name not in ("npz", "zarr") and not reversed_slices:
        assert np.allclose(prepared.geometry["affine"], affine, atol=1e-4)


def test_spacing_is_normalised_and_the_row_said_so(tmp_path):
    path = nifti.write(tmp_path / "x.nii.gz", volume(), affine_of_codes("RAS", (1.0, 2.0, 4.0)))
    row, prepared = read(path, Medical3DOptions(modality="ct", spacing=(2.0, 2.0, 2.0)))
    assert row.shape == (14, 8, 4) and row.spacing == (2.0, 2.0, 2.0)
    assert prepared.data.shape == (1, 14, 8, 4)


def test_percentiles_map_all_but_ct(tmp_path):
    data = np.random.default_rng(0).gamma(2.0, 50.0, SHAPE).astype(np.float32)
    data[0, 0, 0] = 1e6
    path = nifti.write(tmp_path / "x.nii.gz", data, np.eye(4))
    row, prepared = read(path, Medical3DOptions(spacing="native"))
    assert row.dtype == "float16" == prepared.data.dtype and row.channels == ("intensity",)
    low, high = np.percentile(data, (0.5, 99.5))
    expected = ((data - low) / (high - low)).clip(0, 1).transpose(2, 1, 0)
    assert np.abs(prepared.data[0] - expected).max() < 1e-3
    assert prepared.facts["max"] == 1e6 and prepared.facts["high"] == pytest.approx(high)
    # A scanner's arbitrary scale does not matter.
    _, scaled = read(nifti.write(tmp_path / "y.nii.gz", data * 1000 + 7, np.eye(4)), Medical3DOptions(spacing="native"))
    assert np.abs(scaled.data.astype(float) - prepared.data).max() < 2e-3


def test_voxels_that_are_not_finite_are_invalid_and_change_nothing(tmp_path):
    data = volume().astype(np.float32)
    data[2:4, 1, 1] = np.nan
    data[5, 5, 5] = np.inf
    _, prepared = read(nifti.write(tmp_path / "x.nii", data, np.eye(4)))
    assert prepared.valid is not None and (~prepared.valid).sum() == 3
    assert not prepared.valid[1, 1, 2] and not prepared.valid[5, 5, 5]
    assert (prepared.data[0][~prepared.valid] == 0).all()
    _, plain = read(nifti.write(tmp_path / "y.nii", volume(), np.eye(4)))
    assert plain.valid is None
    assert np.array_equal(plain.data[0][prepared.valid], prepared.data[0][prepared.valid])


@pytest.mark.parametrize(("value", "why"), [(np.nan, "NaN"), (3.0, "constant")])
def test_a_volume_without_values_is_refused(tmp_path, value, why):
    path = nifti.write(tmp_path / "x.nii", np.full(SHAPE, value, np.float32), np.eye(4))
    with pytest.raises(Unreadable, match=why):
        read(path, Medical3DOptions(spacing="native"))


def test_an_array_needs_its_spacing(tmp_path):
    np.save(tmp_path / "x.npy", volume())
    row = next(iter(rows_of(tmp_path / "x.npy", CT)))
    assert row.spacing == ()
    with pytest.raises(Unreadable, match=r"data\.spacing=\[z,y,x\]"):
        fit(row, CT)
    assert fit(row, Medical3DOptions(spacing=(3.0, 1.0, 1.0))).spacing == (3.0, 1.0, 1.0)
    manifest = row.replace(meta={**row.meta, "spacing": "3x1x1", "modality": "CT"})
    fitted = fit(manifest, Medical3DOptions(spacing=(1.5, 1.0, 1.0)))
    assert fitted.spacing == (1.5, 1.0, 1.0) and fitted.shape == (18, 8, 7) and fitted.channels == ("ct",)
    assert prepare(fitted, Medical3DOptions(spacing=(1.5, 1.0, 1.0))).data.shape == (1, 18, 8, 7)


def test_array_axes_are_turned(tmp_path):
    np.save(tmp_path / "x.npy", volume())
    row, prepared = read(tmp_path / "x.npy", Medical3DOptions(modality="ct", array_axes="SPL", spacing=(1, 1, 1)))
    assert np.array_equal(prepared.data[0], volume()[:, ::-1, ::-1])
    assert row.shape == SHAPE


def test_frames_are_items_or_channels(tmp_path):
    data = np.stack([volume(seed) for seed in range(3)], axis=-1)
    path = nifti.write(tmp_path / "x.nii.gz", data, np.eye(4))
    rows = [fit(row, CT) for row in rows_of(path, CT)]
    assert [row.meta["frame"] for row in rows] == [0, 1, 2] and len({row.id for row in rows}) == 3
    for at, row in enumerate(rows):
        assert np.array_equal(prepare(row, CT).data[0], np.maximum(volume(at), -1024).transpose(2, 1, 0))
    together = Medical3DOptions(modality="ct", spacing="native", frames="channels")
    row, prepared = read(path, together)
    assert row.channels == prepared.channels == ("ct-0", "ct-1", "ct-2") and prepared.data.shape == (3, 7, 8, 9)


def test_channels_of_several_files_share_one_grid(tmp_path):
    affine = affine_of_codes("RAS", (1, 1, 2))
    first = nifti.write(tmp_path / "case_0000.nii.gz", volume(1).astype(np.float32), affine)
    second = nifti.write(tmp_path / "case_0001.nii.gz", volume(2).astype(np.float32), affine)
    options = Medical3DOptions(spacing="native")
    row = next(iter(rows_of(first, options))).replace(
        channels=("T1", "T2", "FLAIR"), parts={"channel:T1": str(first), "channel:T2": str(second)}
    )
    with pytest.raises(Unreadable, match=r"'FLAIR' is absent: data\.pad_channels=true"):
        prepare(fit(row, options), options)
    padded = Medical3DOptions(spacing="native", pad_channels=True)
    prepared = prepare(fit(row, padded), padded)
    assert prepared.channels == ("T1", "T2") and prepared.data.shape == (2, 7, 8, 9)
    nifti.write(second, volume(2)[:-1].astype(np.float32), affine)
    with pytest.raises(Unreadable, match=r"case_0001.nii.gz has shape 8x8x7, case_0000.nii.gz has 9x8x7"):
        prepare(fit(row, padded), padded)


def test_a_source_that_changed_shape_is_refused(tmp_path):
    path = nifti.write(tmp_path / "x.nii", volume(), np.eye(4))
    row = fit(next(iter(rows_of(path, CT))), CT)
    nifti.write(path, volume()[:, :-1], np.eye(4))
    with pytest.raises(Unreadable, match="no longer 7x8x9"):
        prepare(row, CT)
