"""Every damaged volume costs only itself and says why in one line."""

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from ssl_platform.data.cache import Cache
from ssl_platform.data.scan import scan
from ssl_platform.errors import DataError, Unreadable
from ssl_platform_medical3d.domain import Medical3D
from ssl_platform_medical3d.options import Medical3DOptions
from ssl_platform_medical3d.readers import nifti
from ssl_platform_medical3d.testing import write_dicom_series

VOLUME = np.random.default_rng(0).integers(-1000, 1000, (16, 15, 14)).astype(np.int16)


def good(path, seed=0):
    data = np.random.default_rng(seed).integers(-1000, 1000, (16, 15, 14)).astype(np.int16)
    return nifti.write(path, data, np.eye(4))


def truncated_gz(path):
    nifti.write(path.with_suffix(".nii.gz"), VOLUME, np.eye(4))
    path = path.with_suffix(".nii.gz")
    path.write_bytes(path.read_bytes()[:-2000])
    return path


def truncated_header_gz(path):
    path = path.with_suffix(".nii.gz")
    good(path)
    path.write_bytes(path.read_bytes()[:60])
    return path


def truncated_nii(path):
    good(path.with_suffix(".nii"))
    path = path.with_suffix(".nii")
    path.write_bytes(path.read_bytes()[:-9])
    return path


def empty(path):
    path.with_suffix(".nii.gz").touch()
    return path.with_suffix(".nii.gz")


def text_named_nii(path):
    path.with_suffix(".nii").write_text("these are my notes\n" * 100)
    return path.with_suffix(".nii")


def text_named_gz(path):
    path.with_suffix(".nii.gz").write_text("these are my notes\n" * 100)
    return path.with_suffix(".nii.gz")


def flat(path):
    nibabel.save(nibabel.Nifti1Image(VOLUME[:, :, 0], np.eye(4)), path.with_suffix(".nii"))
    return path.with_suffix(".nii")


def single_slice(path):
    nibabel.save(nibabel.Nifti1Image(VOLUME[:, :, :1], np.eye(4)), path.with_suffix(".nii.gz"))
    return path.with_suffix(".nii.gz")


def patched(path, offset, value):
    path = good(path.with_suffix(".nii"))
    raw = bytearray(path.read_bytes())
    raw[offset : offset + 4] = np.float32(value).tobytes()
    path.write_bytes(raw)
    return path


def all_nan(path):
    return nifti.write(path.with_suffix(".nii"), np.full((8, 8, 8), np.nan, np.float32), np.eye(4))


def constant(path):
    return nifti.write(path.with_suffix(".nii"), np.full((8, 8, 8), 4.0, np.float32), np.eye(4))


def missing_slice(path):
    return write_dicom_series(path, VOLUME, np.eye(4), skip=(6,))


def damaged_dicom(path):
    write_dicom_series(path, VOLUME, np.eye(4))
    sorted(path.iterdir())[3].write_bytes(b"\0" * 128 + b"DICM" + b"garbage" * 30)
    return path


def truncated_pixels(path):
    write_dicom_series(path, VOLUME, np.eye(4))
    file = sorted(path.iterdir())[3]
    file.write_bytes(file.read_bytes()[:-100])
    return path


def text_named_dicom(path):
    path.mkdir()
    (path / "a.dcm").write_text("no")
    return path


def nrrd_without_data(path):
    path = path.with_suffix(".nrrd")
    path.write_text(
        "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 4 4\nspacings: 1 1 1\nencoding: raw\nendian: little\n\n"
    )
    return path


def text_named_mha(path):
    path.with_suffix(".mha").write_text("hello")
    return path.with_suffix(".mha")


def npy_without_spacing(path):
    np.save(path.with_suffix(".npy"), VOLUME)
    return path.with_suffix(".npy")


def broken_npz(path):
    path.with_suffix(".npz").write_bytes(b"PK\x03\x04 no archive")
    return path.with_suffix(".npz")


def empty_zarr(path):
    path.with_suffix(".zarr").mkdir()
    (path.with_suffix(".zarr") / "x").write_text("1")
    return path.with_suffix(".zarr")


BAD = {
    truncated_gz: "truncated or damaged compressed data",
    truncated_header_gz: "truncated or damaged",
    truncated_nii: "truncated: 7,063 of 7,072 bytes",
    empty: "empty",
    text_named_nii: "not a readable NIfTI file",
    text_named_gz: "not gzip data although its name says so",
    flat: "a 2-D image (shape 16x15) among volumes",
    single_slice: "a 2-D image (shape 16x15",
    all_nan: "every voxel is NaN",
    constant: "constant: every voxel is 4",
    missing_slice: "a slice missing between",
    damaged_dicom: "not a readable DICOM file",
    truncated_pixels: "DICOM",
    text_named_dicom: "not a readable DICOM file",
    nrrd_without_data: "NRRD",
    text_named_mha: "MetaImage",
    npy_without_spacing: "data.spacing=[z,y,x]",
    broken_npz: "not a readable NPZ file",
    empty_zarr: "Zarr",
}


def why(path, domain):
    """The reason an item is refused, at the scan or at the latest when it is prepared."""
    with pytest.raises(Unreadable) as caught:
        for row in domain.scan(path):
            domain.prepare(domain.fit(row))
    return caught.value.why


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_each_bad_file_has_its_line(tmp_path, make):
    reason = why(make(tmp_path / "bad"), Medical3D(Medical3DOptions(spacing="auto")))
    assert BAD[make] in reason and "\n" not in reason and len(reason) < 300


@pytest.mark.parametrize(
    ("offset", "value", "text"), [(280, np.nan, "not finite"), (280, np.inf, "not finite"), (280, 0.0, "zero voxel")]
)
def test_a_damaged_affine_has_its_line(tmp_path, offset, value, text):
    assert text in why(patched(tmp_path / "bad", offset, value), Medical3D())


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_has_its_line(tmp_path):
    path = good(tmp_path / "x.nii")
    path.chmod(0)
    assert why(path, Medical3D()) == "permission denied: make it readable (chmod u+r)"


def test_a_file_that_is_gone_has_its_line(tmp_path):
    domain = Medical3D()
    row = next(iter(domain.scan(good(tmp_path / "x.nii.gz"))))
    Path(row.path).unlink()
    with pytest.raises(Unreadable, match="no longer there"):
        domain.prepare(row)


def test_a_mixed_folder_is_scanned_and_the_bad_ones_listed(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(6):
        good(folder / f"good{number}.nii.gz", number)
    at_scan = (truncated_nii, empty, text_named_nii, text_named_gz, flat, missing_slice, nrrd_without_data)
    bad = [make(folder / f"bad{number}") for number, make in enumerate(at_scan)]
    bad_later = truncated_gz(folder / "late")
    domain = Medical3D()
    found = scan([folder], domain, folder=tmp_path / "cache", max_bad_fraction=0.9, quarantine=tmp_path / "q.csv")
    listed = {item.path for item in found.quarantined}
    # What only the content tells is found when it is read, and then costs only itself.
    assert listed | {str(path) for path in bad if path.suffix == ".nrrd"} == {str(path) for path in bad}
    domain.cache = Cache(tmp_path / "prepared")
    outcome = {}
    for row in found.catalog.rows():
        try:
            domain.cache.open(row, domain)
            outcome[Path(row.path).name] = "good"
        except Unreadable as error:
            outcome[Path(row.path).name] = error.why
    assert sum(word == "good" for word in outcome.values()) == 6
    assert "truncated" in outcome[bad_later.name]
    assert (tmp_path / "q.csv").read_text().count("\n") == len(listed) + 1


def test_an_empty_folder_is_said_to_be_one(tmp_path):
    with pytest.raises(DataError, match="no items"):
        scan([tmp_path], Medical3D(), folder=tmp_path / "cache")
