"""Makers of small real files, for tests and doctor checks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ssl_platform_medical3d.orientation import lps_to_ras


def write_dicom_series(
    folder: Path,
    volume: np.ndarray,
    affine: np.ndarray,
    *,
    series: str = "1.2.826.0.1.3680043.8.498.1",
    patient: str = "patient-1",
    modality: str = "CT",
    slope: float = 1.0,
    intercept: float = 0.0,
    name: str = "slice",
    skip: tuple[int, ...] = (),
    order: int = 0,
) -> Path:
    """Write `[i, j, k]` int16 as one DICOM file a slice along k; return the folder.

    Args:
        folder: where; made if need be.
        volume: stored values, before slope and intercept.
        affine: to RAS+ world coordinates, mm.
        series: SeriesInstanceUID.
        patient: PatientID.
        modality: Modality element.
        slope, intercept: what readers must apply.
        name: start of the file names.
        skip: slices left out.
        order: TemporalPositionIdentifier, to write several frames at the same positions.
    """
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

    folder.mkdir(parents=True, exist_ok=True)
    lps = lps_to_ras(affine)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    for at in range(volume.shape[2]):
        if at in skip:
            continue
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = UID(f"{series}.{order}.{at + 1}")
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        # File names run against position, as scanners' often do.
        path = folder / f"{name}{order}{volume.shape[2] - at:04d}.dcm"
        out = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        out.SOPClassUID, out.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        out.SeriesInstanceUID, out.StudyInstanceUID = series, f"{series}.9"
        out.PatientID, out.PatientName, out.Modality = patient, "Secret^Name", modality
        out.InstanceNumber, out.TemporalPositionIdentifier = at + 1, order + 1
        out.ImagePositionPatient = [f"{v:.9g}" for v in lps[:3, 3] + at * lps[:3, 2]]
        directions = (lps[:3, :2] / spacing[:2]).T.ravel()
        out.ImageOrientationPatient = [f"{v:.9f}" for v in directions]
        out.PixelSpacing = [f"{spacing[1]:.9g}", f"{spacing[0]:.9g}"]
        out.SliceThickness = f"{spacing[2]:.9g}"
        out.Rows, out.Columns = volume.shape[1], volume.shape[0]
        out.SamplesPerPixel, out.PhotometricInterpretation = 1, "MONOCHROME2"
        out.BitsAllocated = out.BitsStored = 16
        out.HighBit, out.PixelRepresentation = 15, 1
        out.RescaleSlope, out.RescaleIntercept = f"{slope:.9g}", f"{intercept:.9g}"
        out.PixelData = np.ascontiguousarray(volume[:, :, at].T.astype("<i2")).tobytes()
        pydicom.dcmwrite(path, out, enforce_file_format=True)
    return folder


def write_zarr(path: Path, volume: np.ndarray, spacing: tuple[float, ...] | None = None) -> Path:
    """Write `[D, H, W]` as a Zarr array, with its spacing among the attributes if given."""
    import zarr

    store = zarr.open_array(str(path), mode="w", shape=volume.shape, dtype=volume.dtype.name)
    store[...] = volume
    if spacing is not None:
        store.attrs["spacing"] = list(spacing)
    return path
