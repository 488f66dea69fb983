"""DICOM: folders of slices, mixed or not, and multi-frame files; one volume for each SeriesInstanceUID.

Slices are sorted by position along their normal, never by file name or instance number. A series is refused when a
slice is missing, spacing varies, slices point different ways or the gantry was tilted: a volume made of it would be
distorted. Only the elements named in `HEADER` and `PIXELS` are ever read; of identity just PatientID, which leaves this
module as a salted hash.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.data.identity import salted
from ssl_platform.errors import Unreadable
from ssl_platform_medical3d.find import is_slice
from ssl_platform_medical3d.orientation import check_affine
from ssl_platform_medical3d.readers.header import Header, reading
from ssl_platform_medical3d.readers.slices import Slice, assemble

SUFFIXES = (".dcm", ".ima", ".dicom")

HEADER = (
    "SOPClassUID",
    "SeriesInstanceUID",
    "PatientID",
    "Modality",
    "InstanceNumber",
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "NumberOfFrames",
    "BitsAllocated",
    "PixelRepresentation",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
PIXELS = (
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PlanarConfiguration",
    "RescaleSlope",
    "RescaleIntercept",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "PixelData",
    "FloatPixelData",
    "DoubleFloatPixelData",
)
# What sorts slices at one position into frames.
_ORDER = ("TemporalPositionIdentifier", "AcquisitionNumber", "InstanceNumber")
# Dose reports, presentation states and the like: part of a study, not pictures.
_NO_PICTURE = "1.2.840.10008.5.1.4.1.1.88", "1.2.840.10008.5.1.4.1.1.11", "1.2.840.10008.5.1.4.1.1.104"


def read_headers(path: Path) -> Iterator[Header]:
    """The series in a folder (not in its sub-folders), or the volume in one multi-frame file.

    Good series come first; what is wrong with others is raised at the end, so one bad series costs only itself.

    Raises:
        Unreadable: some files or series cannot be used; names each with its cause.
    """
    with reading("DICOM"):
        files = _files(path)
        if not files:
            raise Unreadable("a folder without DICOM files")
        series, problems = _series(files, tuple(os.stat(file).st_mtime_ns for file in files))  # noqa: PTH116
    for uid in sorted(series):
        try:
            header = assemble(path, series[uid])
            check_affine(header.affine)
        except Unreadable as error:
            names = f"series {uid[-12:]} of {len(series)}: " if len(series) > 1 else ""
            problems = (*problems, f"{names}{error.why}")
        else:
            first = series[uid][0]
            notes = () if first.modality else ("no Modality element",)
            size = sum(file.stat().st_size for file in set(header.files))
            yield replace(
                header,
                series=uid,
                modality=first.modality,
                group=first.patient,
                group_rule="patient" if first.patient else "file",
                notes=(*header.notes, *notes),
                bytes=size,
            )
    if problems:
        raise Unreadable("; ".join(problems))


def _files(path: Path) -> tuple[Path, ...]:
    if path.is_file():
        return (path,)
    names = sorted(entry.name for entry in os.scandir(path) if entry.is_file() and not entry.name.startswith("."))
    return tuple(path / name for name in names if is_slice(path, name))


@lru_cache(maxsize=4)
def _series(files: tuple[Path, ...], changed: tuple[int, ...]) -> tuple[dict[str, list[Slice]], tuple[str, ...]]:
    """Slices by SeriesInstanceUID, and one line for each file that cannot be read.

    Args:
        files: what to read.
        changed: times of last change; part of the memory's key only.
    """
    import pydicom

    series: dict[str, list[Slice]] = defaultdict(list)
    broken: list[str] = []
    for file in files:
        try:
            with reading("DICOM"):
                if file.stat().st_size == 0:
                    raise Unreadable("empty file (0 bytes)")
                found = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(HEADER))
                if "SOPClassUID" not in found:
                    raise Unreadable("not a readable DICOM file (it says nothing of its kind)")
                if str(found.SOPClassUID).startswith(_NO_PICTURE) or "Rows" not in found:
                    continue
                series[str(found.get("SeriesInstanceUID", ""))].extend(_slices(file, found))
        except Unreadable as error:
            broken.append(f"{file.name}: {error.why}")
    if not series and not broken:
        raise Unreadable("holds no pictures (reports or directories only)")
    problems = (f"{len(broken)} damaged: {'; '.join(broken[:3])}",) if len(broken) > 3 else tuple(broken)
    return dict(series), problems


def _slices(file: Path, found: Any) -> list[Slice]:
    """The slices of one file."""
    if int(found.get("SamplesPerPixel") or 1) != 1:
        raise Unreadable("holds colour pictures: this domain reads grey values")
    frames = int(found.get("NumberOfFrames") or 1)
    patient = str(found.get("PatientID") or "")
    per_frame = list(found.get("PerFrameFunctionalGroupsSequence") or [])
    shared = next(iter(found.get("SharedFunctionalGroupsSequence") or []), None)
    if frames > 1 and len(per_frame) != frames:
        raise Unreadable(f"holds {frames} frames without their positions: convert it to NIfTI")
    slices = []
    for frame in range(frames):
        groups = [group for group in (per_frame[frame] if per_frame else None, shared) if group is not None]
        position = _value(found, groups, "PlanePositionSequence", "ImagePositionPatient")
        orientation = _value(found, groups, "PlaneOrientationSequence", "ImageOrientationPatient")
        spacing = _value(found, groups, "PixelMeasuresSequence", "PixelSpacing")
        for name, value, length in (
            ("ImagePositionPatient", position, 3),
            ("ImageOrientationPatient", orientation, 6),
            ("PixelSpacing", spacing, 2),
        ):
            if value is None or len(value) != length:
                raise Unreadable(f"has no {name}: slices cannot be placed (a scanned picture or secondary capture?)")
        slices.append(
            Slice(
                file=file,
                frame=frame,
                position=np.array(position, dtype=np.float64),
                orientation=np.array(orientation, dtype=np.float64),
                spacing=(float(spacing[0]), float(spacing[1])),
                size=(int(found.Rows), int(found.Columns)),
                order=(*(int(found.get(name) or 0) for name in _ORDER), frame),
                dtype=f"{'' if found.get('PixelRepresentation') else 'u'}int{int(found.get('BitsAllocated') or 16)}",
                modality=str(found.get("Modality") or "").lower() or None,
                patient=salted(patient) if patient else None,
            )
        )
    return slices


def _value(found: Any, groups: list[Any], sequence: str, name: str) -> Any:
    """An element from the frame's own group, the shared group or the top level, in that order."""
    for group in groups:
        items = group.get(sequence)
        if items and items[0].get(name) is not None:
            return items[0].get(name)
    return found.get(name)


def read_voxels(header: Header, frame: int | None = None) -> np.ndarray:
    """Values `[F, i, j, k]` with slope and intercept of each slice applied; i runs along columns, j along rows.

    Raises:
        Unreadable: a slice is truncated or its compression unknown.
    """
    depth = header.shape[2]
    chosen = range(header.frames) if frame is None else (frame,)
    wanted = [f * depth + k for f in chosen for k in range(depth)]
    decoded: dict[Path, np.ndarray] = {}
    planes = []
    for at in wanted:
        file = header.files[at]
        if file not in decoded:
            if len(set(header.files)) > 1:
                decoded.clear()  # one file a slice: nothing is used twice
            with reading("DICOM"):
                decoded[file] = _decode(file)
        planes.append(decoded[file][header.file_frames[at]])
    volume = np.stack(planes).reshape(len(chosen), depth, header.shape[1], header.shape[0])
    return np.asarray(volume.transpose(0, 3, 2, 1))


def _decode(file: Path) -> np.ndarray:
    """Rescaled `[frames, rows, columns]` of one file."""
    import pydicom

    found = pydicom.dcmread(file, specific_tags=list(PIXELS))
    syntax = found.file_meta.get("TransferSyntaxUID")
    if syntax is not None and syntax.is_compressed and "JPEG" in syntax.name.upper():
        # GDCM decodes JPEG in all its kinds and applies slope and intercept itself.
        import SimpleITK

        SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
        return np.asarray(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file), imageIO="GDCMImageIO")))
    values = np.asarray(found.pixel_array).reshape(-1, int(found.Rows), int(found.Columns))
    per_frame = list(found.get("PerFrameFunctionalGroupsSequence") or [])
    shared = next(iter(found.get("SharedFunctionalGroupsSequence") or []), None)
    rescaled = []
    for frame, plane in enumerate(values):
        groups = [group for group in (per_frame[frame] if per_frame else None, shared) if group is not None]
        slope = float(_value(found, groups, "PixelValueTransformationSequence", "RescaleSlope") or 1.0)
        intercept = float(_value(found, groups, "PixelValueTransformationSequence", "RescaleIntercept") or 0.0)
        rescaled.append(_rescale(plane, slope, intercept))
    return np.stack(rescaled)


def _rescale(plane: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    if slope == 1.0 and intercept == 0.0:
        return plane
    if slope.is_integer() and intercept.is_integer():
        return np.asarray(plane.astype(np.int32) * int(slope) + int(intercept))
    return np.asarray(plane.astype(np.float32) * np.float32(slope) + np.float32(intercept))
