"""DICOM slides: grouped by series, patients hashed, other DICOM files named and left out."""

import shutil

import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_wholeslide.slides.series import is_dicom, series_of
from ssl_platform_wholeslide.testing import tissue_picture, write_dicom

UID = "1.2.826.0.1.3680043.8.498"


def test_a_folder_of_two_series_is_two_slides_finest_level_first(tmp_path):
    write_dicom(tmp_path, tissue_picture(256, 256), 0.5, series=f"{UID}.5")
    write_dicom(tmp_path, tissue_picture(256, 256, 1), 0.25, series=f"{UID}.6", patient="p2")
    found, problem = series_of(tmp_path)
    assert problem is None and [s.patient for s in found] == ["patient-1", "p2"]
    assert [file.name for file in found[0].files] == ["5_2.dcm", "5_1.dcm"]


def test_rows_have_a_hashed_patient_and_no_uid(tmp_path, domain_of):
    write_dicom(tmp_path / "in", tissue_picture(256, 256), 0.5, series=f"{UID}.5", patient="Miller^1970")
    write_dicom(tmp_path / "in", tissue_picture(256, 256, 1), 0.5, series=f"{UID}.6", patient="Miller^1970")
    domain = domain_of()
    rows = [domain.fit(row) for row in domain.scan(tmp_path / "in")]
    assert len(rows) == 2 and len({row.id for row in rows}) == 2 and len({row.fingerprint for row in rows}) == 2
    assert rows[0].group == rows[1].group and domain.group(rows[0])[1] == "patient, hashed"
    assert not any("Miller" in str(row) or "Secret" in str(row) or UID in str(row) for row in rows)
    part = domain.read(rows[1], domain.place(rows[1], (64, 64), np.full(4, 0.5)))["main"]
    assert part.data.shape == (3, 64, 64)


def test_other_dicom_files_are_named_and_the_slide_is_kept(tmp_path, domain_of):
    write_dicom(tmp_path / "in", tissue_picture(256, 256), 0.5)
    (tmp_path / "in" / "bad.dcm").write_text("no")
    rows = []
    with pytest.raises(Unreadable, match=r"bad.dcm: not a readable DICOM file"):
        rows.extend(domain_of().scan(tmp_path / "in"))
    domain = domain_of()
    iterator = iter(domain.scan(tmp_path / "in"))
    assert next(iterator).meta["format"] == "dicom"


def test_a_folder_without_a_slide_says_what_it_holds(tmp_path):
    import pydicom

    write_dicom(tmp_path, tissue_picture(256, 256), 0.5, (1,))
    (file,) = tmp_path.iterdir()
    read = pydicom.dcmread(file)
    read.SOPClassUID = read.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    read.save_as(file)
    with pytest.raises(Unreadable, match="of another kind than a slide"):
        series_of(tmp_path)


def test_files_without_an_ending_are_looked_into(tmp_path):
    folder = write_dicom(tmp_path / "in", tissue_picture(256, 256), 0.5, (1,))
    shutil.move(next(folder.iterdir()), folder / "IM0001")
    (folder / "notes").write_text("x")
    assert is_dicom(folder / "IM0001") and not is_dicom(folder / "notes") and not is_dicom(folder / "gone")
