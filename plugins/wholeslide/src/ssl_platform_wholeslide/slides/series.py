"""DICOM slides: the series of a folder, each one slide whose levels are files of their own.

Only the elements listed here are read; names, dates and institutions are not among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ssl_platform.errors import Unreadable
from ssl_platform_wholeslide.slides import DICOM_SUFFIXES

_SLIDE_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.6"
_ELEMENTS = ["SOPClassUID", "SeriesInstanceUID", "ImageType", "PatientID", "TotalPixelMatrixColumns"]


@dataclass(frozen=True)
class Series:
    """One slide in DICOM files.

    Attributes:
        uid: SeriesInstanceUID.
        files: its levels, finest first; label, overview and thumbnail images are left out.
        patient: PatientID as stored, or empty.
    """

    uid: str
    files: tuple[Path, ...]
    patient: str


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its ending, or without one starts as DICOM files do (`DICM` after 128 bytes)."""
    if path.suffix:
        return path.suffix.lower() in DICOM_SUFFIXES
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def series_of(folder: Path) -> tuple[list[Series], str | None]:
    """The slides of a folder (or of the folder of one file), and why some of its files cannot be used.

    Raises:
        Unreadable: it holds no slide.
    """
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    files = [folder] if folder.is_file() else sorted(file for file in folder.iterdir() if is_dicom(file))
    found: dict[str, list[tuple[int, Path]]] = {}
    patients: dict[str, str] = {}
    problem: str | None = None
    for file in files:
        try:
            header = dcmread(file, stop_before_pixels=True, specific_tags=_ELEMENTS)
            kind, uid = str(header.SOPClassUID), str(header.SeriesInstanceUID)
        except (InvalidDicomError, OSError, AttributeError, ValueError) as error:
            problem = f"{file.name}: not a readable DICOM file ({' '.join(str(error).split())})"
            continue
        if kind != _SLIDE_CLASS:
            problem = problem or f"{file.name}: a DICOM file of another kind than a slide (SOP class {kind})"
            continue
        if "VOLUME" in header.get("ImageType", ()):
            found.setdefault(uid, []).append((-int(header.get("TotalPixelMatrixColumns", 0)), file))
            patients[uid] = str(header.get("PatientID", "") or "")
    if not found:
        raise Unreadable(problem or "no DICOM slide in it")
    slides = [Series(uid, tuple(file for _, file in sorted(levels)), patients[uid]) for uid, levels in found.items()]
    return sorted(slides, key=lambda series: series.uid), problem
