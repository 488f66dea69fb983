"""Rows: groups, modalities, ids and the grid under other options."""

import json

import numpy as np
import pytest

from ssl_platform_medical3d.items import fit, group_of, header_of, modality_beside, modality_name, rows_of
from ssl_platform_medical3d.options import Medical3DOptions, parse_spacing
from ssl_platform_medical3d.readers import nifti
from ssl_platform_medical3d.readers.header import Header
from ssl_platform_medical3d.testing import write_dicom_series

VOLUME = np.random.default_rng(0).integers(0, 100, (6, 5, 4)).astype(np.int16)


def header(path, **more):
    return Header(path, "nifti", (2, 2, 2), np.eye(4), "int16", **more)


@pytest.mark.parametrize(
    ("name", "group", "rule"),
    [
        ("bids/sub-012/anat/sub-012_T1w.nii.gz", "sub-012", "BIDS subject"),
        ("flat/sub-A7_ct.nii.gz", "sub-A7", "BIDS subject"),
        ("Task01/imagesTr/case_003_0000.nii.gz", "case_003", "nnU-Net case"),
        ("scans/IMG_0001.nii.gz", None, "file"),
        ("imagesTr/hippocampus_001.nii.gz", None, "file"),
    ],
)
def test_groups_come_from_conventions_only(tmp_path, name, group, rule):
    assert group_of(header(tmp_path / name)) == (group, rule)


def test_a_patient_in_the_file_wins(tmp_path):
    found = group_of(header(tmp_path / "sub-01" / "x.nii", group="abc", group_rule="patient"))
    assert found == ("abc", "patient")


@pytest.mark.parametrize(
    ("text", "name"), [("CT", "ct"), ("MRI", "mr"), ("T1w", "mr"), ("FLAIR", "mr"), ("PET", "pt"), ("XA", "xa")]
)
def test_modalities_have_one_name(text, name):
    assert modality_name(text) == name


def test_modality_beside_a_file(tmp_path):
    assert modality_beside(tmp_path / "sub-01_T2w.nii.gz") == "mr"
    assert modality_beside(tmp_path / "scan.nii.gz") is None
    assert modality_beside(tmp_path / "ct.nii.gz") is None  # a whole name is no suffix
    (tmp_path / "scan.json").write_text(json.dumps({"Modality": "CT", "PatientName": "x"}))
    assert modality_beside(tmp_path / "scan.nii.gz") == "ct"
    (tmp_path / "scan.json").write_text("{broken")
    assert modality_beside(tmp_path / "scan.nii.gz") is None


def test_modality_of_a_dataset(tmp_path):
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "dataset.json").write_text(json.dumps({"modality": {"0": "CT"}, "labels": {"0": "background"}}))
    assert modality_beside(tmp_path / "imagesTr" / "liver_0.nii.gz") == "ct"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1", "1": "ADC"}}))
    assert modality_beside(tmp_path / "other" / "x.nii.gz") is None


def test_modality_decides_channel_and_storage(tmp_path):
    path = nifti.write(tmp_path / "x.nii.gz", VOLUME, np.eye(4))
    row = next(iter(rows_of(path, Medical3DOptions())))
    assert (fit(row, Medical3DOptions()).channels, fit(row, Medical3DOptions()).dtype) == (("intensity",), "float16")
    said = row.replace(meta={**row.meta, "modality": "CT"})
    assert (fit(said, Medical3DOptions()).channels, fit(said, Medical3DOptions()).dtype) == (("ct",), "int16")
    assert fit(said, Medical3DOptions(modality="mr")).channels == ("mr",)


def test_fit_needs_no_file_and_can_be_repeated(tmp_path):
    path = nifti.write(tmp_path / "x.nii.gz", VOLUME, np.diag([1.0, 2.0, 4.0, 1.0]))
    row = next(iter(rows_of(path, Medical3DOptions())))
    path.unlink()
    coarse = fit(row, Medical3DOptions(spacing=(4.0, 4.0, 4.0)))
    assert coarse.shape == (4, 2, 2) and coarse.spacing == (4.0, 4.0, 4.0)
    back = fit(coarse, Medical3DOptions(spacing="native"))
    assert back.shape == (4, 5, 6) and back.spacing == (4.0, 2.0, 1.0)


def test_the_manifest_overrules_the_header(tmp_path):
    path = nifti.write(tmp_path / "x.nii.gz", VOLUME, np.eye(4))
    options = Medical3DOptions(spacing="native")
    row = next(iter(rows_of(path, options)))
    row = fit(row.replace(meta={**row.meta, "spacing": "5,1,1"}), options)
    assert row.spacing == (5.0, 1.0, 1.0)
    assert np.allclose(np.diag(header_of(row, options).affine), (1, 1, 5, 1))


def test_series_of_one_folder_are_items_of_their_own(tmp_path):
    for number, seed in ((1, 0), (2, 1)):
        write_dicom_series(tmp_path, VOLUME + seed, np.eye(4), series=f"1.2.3.{number}", name=f"s{number}-")
    rows = list(rows_of(tmp_path, Medical3DOptions()))
    assert [row.meta["series"] for row in rows] == ["1.2.3.1", "1.2.3.2"]
    assert len({row.id for row in rows}) == len({row.fingerprint for row in rows}) == 2
    assert "1.2.3" not in rows[0].id
    assert header_of(rows[1], Medical3DOptions()).series == "1.2.3.2"


def test_the_fingerprint_of_a_series_is_its_content(tmp_path):
    first = next(iter(rows_of(write_dicom_series(tmp_path / "a", VOLUME, np.eye(4)), Medical3DOptions())))
    same = next(iter(rows_of(write_dicom_series(tmp_path / "b", VOLUME, np.eye(4)), Medical3DOptions())))
    other = next(iter(rows_of(write_dicom_series(tmp_path / "c", VOLUME + 1, np.eye(4)), Medical3DOptions())))
    assert first.fingerprint == same.fingerprint != other.fingerprint


@pytest.mark.parametrize("text", ["3x1x1", "3,1,1", "[3, 1, 1]", "3;1;1", (3, 1, 1), [3.0, 1, 1]])
def test_spacing_may_be_written_many_ways(text):
    assert parse_spacing(text) == (3.0, 1.0, 1.0)
    assert Medical3DOptions(spacing=text).spacing == (3.0, 1.0, 1.0)


@pytest.mark.parametrize("text", ["3x1", 0, "-1", "a", [1, 2, 0]])
def test_wrong_spacing_is_refused(text):
    with pytest.raises(ValueError, match=r"spacing|convert"):
        Medical3DOptions(spacing=text)


def test_one_number_is_isotropic():
    assert Medical3DOptions(spacing=1.5).spacing == (1.5, 1.5, 1.5)
