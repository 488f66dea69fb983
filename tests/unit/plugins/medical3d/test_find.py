"""Candidates: files, Zarr stores and DICOM folders."""

import numpy as np

from ssl_platform_medical3d.find import find
from ssl_platform_medical3d.testing import write_dicom_series, write_zarr

VOLUME = np.zeros((4, 3, 2), np.int16)


def test_files_stores_and_series(tmp_path):
    for name in ("b.nii.gz", "a.nrrd", "notes.txt", ".hidden.nii", "c.MHA"):
        (tmp_path / name).write_bytes(b"x")
    write_dicom_series(tmp_path / "study" / "one", VOLUME, np.eye(4))
    write_dicom_series(tmp_path / "study" / "two", VOLUME, np.eye(4))
    write_zarr(tmp_path / "v.zarr", VOLUME)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.nii").write_bytes(b"x")
    found = [path.relative_to(tmp_path).as_posix() for path in find(tmp_path)]
    assert found == ["a.nrrd", "b.nii.gz", "c.MHA", "v.zarr", "study/one", "study/two"]


def test_dicom_without_an_ending_is_known_by_its_content(tmp_path):
    folder = write_dicom_series(tmp_path / "s", VOLUME, np.eye(4))
    for number, file in enumerate(sorted(folder.iterdir())):
        file.rename(folder / (f"IM{number}" if number else "1.2.840.99"))
    assert list(find(tmp_path)) == [folder]
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "README").write_text("no")
    assert list(find(tmp_path)) == [folder]


def test_what_is_named_outright_is_a_candidate(tmp_path):
    odd = tmp_path / "volume.bin"
    odd.write_bytes(b"x")
    assert list(find(odd)) == [odd]
    store = write_zarr(tmp_path / "v.zarr", VOLUME)
    assert list(find(store)) == [store]
    series = write_dicom_series(tmp_path / "series", VOLUME, np.eye(4))
    assert list(find(series)) == [series]
