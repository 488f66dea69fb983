"""DICOM: order by position, slopes, frames, compression, and what is never read."""

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from ssl_platform.errors import Unreadable
from ssl_platform_medical3d.orientation import affine_of_codes, orientation_of
from ssl_platform_medical3d.readers import dicom
from ssl_platform_medical3d.testing import write_dicom_series

VOLUME = np.random.default_rng(0).integers(-500, 500, (6, 5, 4)).astype(np.int16)
AFFINE = affine_of_codes("LPS", (0.5, 0.7, 3.0))


def read(folder):
    (header,) = dicom.read_headers(folder)
    return header, dicom.read_voxels(header)


def test_slices_are_sorted_by_position_not_by_name(tmp_path):
    header, values = read(write_dicom_series(tmp_path / "s", VOLUME, AFFINE))
    assert np.array_equal(values[0], VOLUME)
    assert np.allclose(header.affine, AFFINE) and header.spacing == pytest.approx((3.0, 0.7, 0.5))
    assert [file.name for file in header.files] == sorted((f.name for f in header.files), reverse=True)


@pytest.mark.parametrize("codes", ["LPS", "ASR", "PIR", "RAS", "LIP"])
def test_simpleitk_sees_the_same_volume(tmp_path, codes):
    affine = affine_of_codes(codes, (0.5, 0.7, 3.0))
    affine[:3, 3] = (5.0, -7.0, 11.0)
    folder = write_dicom_series(tmp_path / "s", VOLUME, affine)
    header, values = read(folder)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    for _ in range(10):
        index = [int(n) for n in np.random.default_rng(1).integers(0, values.shape[1:])]
        point = np.array(image.TransformIndexToPhysicalPoint(index)) * (-1, -1, 1)
        ours = np.rint(np.linalg.inv(header.affine) @ [*point, 1])[:3].astype(int)
        assert image[index] == values[0][tuple(ours)]


def test_slope_and_intercept_of_each_slice(tmp_path):
    folder = write_dicom_series(tmp_path / "s", VOLUME, AFFINE, slope=2.0, intercept=-1024.0)
    _, values = read(folder)
    assert np.array_equal(values[0], VOLUME.astype(int) * 2 - 1024) and values.dtype.kind == "i"
    changed = sorted(folder.iterdir())[-1]  # the first slice, by position
    found = pydicom.dcmread(changed)
    found.RescaleSlope = "0.5"
    found.save_as(changed)
    _, values = read(folder)
    assert np.allclose(values[0][..., 0], VOLUME[..., 0] * 0.5 - 1024)
    assert np.allclose(values[0][..., 1:], VOLUME[..., 1:] * 2.0 - 1024)


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
def test_jpeg_is_decoded_and_rescaled_once(tmp_path, compressor):
    volume = np.random.default_rng(0).integers(-500, 500, (16, 16, 3)).astype(np.int16)
    folder = write_dicom_series(tmp_path / "s", volume, AFFINE)
    writer = SimpleITK.ImageFileWriter()
    writer.SetFileName(str(tmp_path / "packed.dcm"))
    writer.UseCompressionOn()
    writer.SetCompressor(compressor)
    for file in sorted(folder.iterdir()):
        writer.Execute(SimpleITK.ReadImage(str(file)))
        packed, found = pydicom.dcmread(tmp_path / "packed.dcm"), pydicom.dcmread(file)
        found.file_meta.TransferSyntaxUID = packed.file_meta.TransferSyntaxUID
        found.PixelData, found["PixelData"].VR = packed.PixelData, "OB"
        found["PixelData"].is_undefined_length = True
        found.RescaleSlope, found.RescaleIntercept = "2", "-1024"
        found.save_as(file)
    assert "JPEG" in pydicom.dcmread(next(folder.iterdir())).file_meta.TransferSyntaxUID.name
    _, values = read(folder)
    assert np.array_equal(values[0], volume.astype(int) * 2 - 1024)


def test_several_slices_at_each_position_are_frames(tmp_path):
    for order in range(3):
        write_dicom_series(tmp_path / "s", VOLUME + 100 * order, AFFINE, order=order)
    header, values = read(tmp_path / "s")
    assert header.frames == 3 and header.shape == VOLUME.shape
    assert np.array_equal(values, np.stack([VOLUME, VOLUME + 100, VOLUME + 200]))
    assert np.array_equal(dicom.read_voxels(header, 1)[0], VOLUME + 100)
    next((tmp_path / "s").iterdir()).unlink()
    with pytest.raises(Unreadable, match="missing or doubled"):
        read(tmp_path / "s")


def test_a_multi_frame_file_is_a_volume(tmp_path):
    folder = write_dicom_series(tmp_path / "s", VOLUME, AFFINE)
    files = sorted(folder.iterdir(), reverse=True)
    whole = pydicom.dcmread(files[0])
    frames = Sequence()
    for file in files:
        one = pydicom.dcmread(file)
        group = Dataset()
        place = Dataset()
        place.ImagePositionPatient = one.ImagePositionPatient
        group.PlanePositionSequence = Sequence([place])
        frames.append(group)
    shared, measures, orientation, values = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = whole.PixelSpacing
    orientation.ImageOrientationPatient = whole.ImageOrientationPatient
    values.RescaleSlope, values.RescaleIntercept = "2", "-10"
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([orientation])
    shared.PixelValueTransformationSequence = Sequence([values])
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(whole, name)
    whole.SharedFunctionalGroupsSequence, whole.PerFrameFunctionalGroupsSequence = Sequence([shared]), frames
    whole.NumberOfFrames = len(files)
    whole.PixelData = np.ascontiguousarray(VOLUME.transpose(2, 1, 0)).tobytes()
    whole.save_as(tmp_path / "whole.dcm")
    header, read_values = read(tmp_path / "whole.dcm")
    assert np.array_equal(read_values[0], VOLUME.astype(int) * 2 - 10) and np.allclose(header.affine, AFFINE)


def test_identity_is_hashed_and_names_never_read(tmp_path, monkeypatch):
    asked = []
    real = pydicom.dcmread

    def watched(*args, **kwargs):
        asked.extend(kwargs["specific_tags"])
        return real(*args, **kwargs)

    monkeypatch.setattr(pydicom, "dcmread", watched)
    header, _ = read(write_dicom_series(tmp_path / "s", VOLUME, AFFINE, patient="Jane-17"))
    assert header.group_rule == "patient" and "Jane" not in repr(header)
    assert {"PatientName", "PatientBirthDate", "InstitutionName"}.isdisjoint(asked) and "PatientID" in asked


def test_reports_beside_pictures_are_passed_over(tmp_path):
    folder = write_dicom_series(tmp_path / "s", VOLUME, AFFINE)
    report = pydicom.dcmread(sorted(folder.iterdir())[0])
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.67"
    report.SeriesInstanceUID = "1.2.3"
    del report.PixelData
    report.save_as(folder / "report.dcm")
    assert len(list(dicom.read_headers(folder))) == 1


def test_left_handed_storage_comes_back_in_the_same_world(tmp_path):
    affine = affine_of_codes("SAR", (0.5, 0.7, 3.0))
    header, values = read(write_dicom_series(tmp_path / "s", VOLUME, affine))
    ours, theirs = orientation_of(header.affine), orientation_of(affine)
    assert np.array_equal(ours.apply(values[0]), theirs.apply(VOLUME))
    assert np.allclose(ours.affine(header.affine, header.shape), theirs.affine(affine, VOLUME.shape))
