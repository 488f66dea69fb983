"""NIfTI: slope and intercept, the choice of affine, units, frames, damage."""

import gzip

import nibabel
import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_medical3d.orientation import affine_of_codes, codes_of
from ssl_platform_medical3d.readers import nifti

VOLUME = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)


def save(path, change=lambda image: None, data=VOLUME, affine=None):
    image = nibabel.Nifti1Image(data, np.eye(4) if affine is None else affine)
    change(image)
    nibabel.save(image, path)
    return path


def header(path):
    (found,) = nifti.read_headers(path)
    return found


def patch(path, offset, value):
    """Write a value into the header of a plain NIfTI-1 file."""
    raw = bytearray(path.read_bytes())
    raw[offset : offset + value.nbytes] = value.tobytes()
    path.write_bytes(raw)
    return path


def test_slope_and_intercept_are_applied(tmp_path):
    path = save(tmp_path / "x.nii")
    patch(patch(path, 112, np.float32(2.0)), 116, np.float32(-1024.0))  # scl_slope, scl_inter
    assert np.array_equal(nifti.read_voxels(header(path))[0], VOLUME * 2.0 - 1024.0)
    # A slope of zero means none.
    assert np.array_equal(nifti.read_voxels(header(patch(path, 112, np.float32(0.0))))[0], VOLUME)


def test_frames_are_the_last_axis(tmp_path):
    data = np.stack([VOLUME, VOLUME + 1000], axis=-1)
    for name in ("x.nii", "x.nii.gz"):
        found = header(save(tmp_path / name, data=data))
        assert (found.shape, found.frames) == ((4, 5, 6), 2)
        assert np.array_equal(nifti.read_voxels(found), np.moveaxis(data, -1, 0))
        assert np.array_equal(nifti.read_voxels(found, 1)[0], VOLUME + 1000)
    single = header(save(tmp_path / "y.nii", data=VOLUME[..., None]))
    assert single.frames == 1 and np.array_equal(nifti.read_voxels(single)[0], VOLUME)


def test_the_sform_wins_then_the_qform_then_the_sizes(tmp_path):
    ras, lps = affine_of_codes("RAS", (1, 1, 1)), affine_of_codes("LPS", (1, 1, 1))

    def both(image):
        image.set_sform(lps, 1)
        image.set_qform(ras, 1)

    found = header(save(tmp_path / "a.nii", both))
    assert codes_of(found.affine) == "LPS" and found.notes == ("sform and qform disagree, the sform was used",)

    def only_qform(image):
        image.set_sform(None, 0)
        image.set_qform(lps, 1)

    found = header(save(tmp_path / "b.nii", only_qform))
    assert codes_of(found.affine) == "LPS" and found.notes == ()

    def neither(image):
        image.set_sform(None, 0)
        image.set_qform(None, 0)

    found = header(save(tmp_path / "c.nii", neither))
    assert "orientation unknown" in found.notes[0]


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1000.0), ("micron", 0.001), ("mm", 1.0), (0, 1.0)])
def test_units_become_mm(tmp_path, unit, factor):
    path = save(tmp_path / "x.nii", lambda image: image.header.set_xyzt_units(unit), affine=np.diag([2.0, 2, 2, 1]))
    assert np.allclose(header(path).spacing, 2.0 * factor)


def test_damaged_sizes_are_no_matter_where_there_is_an_sform(tmp_path):
    path = patch(save(tmp_path / "x.nii"), 84, np.float32(0.0))  # pixdim[2]
    found = header(path)
    assert found.spacing == (1.0, 1.0, 1.0) and found.notes == ("pixdim is damaged, the sform's spacing was used",)
    patch(path, 254, np.int16(0))  # sform_code
    with pytest.raises(Unreadable, match="zero or non-finite voxel spacing"):
        nifti.read_headers(path)


def test_nifti_2_is_read(tmp_path):
    nibabel.save(nibabel.Nifti2Image(VOLUME, np.eye(4)), tmp_path / "x.nii.gz")
    assert np.array_equal(nifti.read_voxels(header(tmp_path / "x.nii.gz"))[0], VOLUME)


def test_plain_files_are_found_truncated_by_their_header(tmp_path):
    path = save(tmp_path / "x.nii")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(Unreadable, match="truncated: 582 of 592 bytes"):
        nifti.read_headers(path)


def test_compressed_files_are_found_truncated_when_read(tmp_path):
    data = np.random.default_rng(0).integers(0, 30000, (20, 20, 20)).astype(np.int16)
    path = save(tmp_path / "x.nii.gz", data=data)
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(Unreadable, match="truncated or damaged"):
        nifti.read_voxels(header(path))


def test_colour_and_complex_are_refused(tmp_path):
    colour = np.zeros((4, 4, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(Unreadable, match="colour"):
        nifti.read_headers(save(tmp_path / "x.nii", data=colour))
    with pytest.raises(Unreadable, match="complex"):
        nifti.read_headers(save(tmp_path / "y.nii", data=np.zeros((4, 4, 4), np.complex64)))


def test_equal_values_are_written_as_equal_bytes(tmp_path):
    first = nifti.write(tmp_path / "a.nii.gz", VOLUME, np.eye(4)).read_bytes()
    assert first == nifti.write(tmp_path / "b.nii.gz", VOLUME, np.eye(4)).read_bytes()
    assert gzip.decompress(first)[344:347] == b"n+1"
