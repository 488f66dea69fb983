"""DICOM slices to the geometry of one volume, or the reason there is none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_medical3d.orientation import lps_to_ras
from ssl_platform_medical3d.readers.header import Header

# Positions are rounded when written: steps may differ by this fraction, directions by this many degrees.
_STEP_TOLERANCE = 0.05
_TILT_DEGREES = 0.5


@dataclass(frozen=True)
class Slice:
    """One slice as its header tells.

    Attributes:
        file: where it is.
        frame: which frame of the file.
        position: `[3]` centre of its first pixel, LPS+ mm.
        orientation: `[6]` directions of growing column index and of growing row index.
        spacing: mm between rows, mm between columns.
        size: rows, columns.
        order: what sorts slices at one position: temporal position, acquisition, instance, frame.
        dtype: numpy name of the stored values.
        modality: lower case, or None.
        patient: salted hash, or None.
    """

    file: Path
    frame: int
    position: np.ndarray
    orientation: np.ndarray
    spacing: tuple[float, float]
    size: tuple[int, int]
    order: tuple[int, ...]
    dtype: str
    modality: str | None = None
    patient: str | None = None


def assemble(path: Path, slices: list[Slice]) -> Header:
    """The volume of one series.

    Args:
        path: the folder or file they come from.
        slices: in any order. Several at every position are frames of a 4-D series.

    Raises:
        Unreadable: one slice only, unlike slices, a missing slice, uneven spacing or a tilted gantry.
    """
    first = slices[0]
    _check_alike(slices)
    along_columns, along_rows = first.orientation[:3], first.orientation[3:]
    normal = np.cross(along_columns, along_rows)
    heights = [float(piece.position @ normal) for piece in slices]
    order = sorted(range(len(slices)), key=lambda at: (round(heights[at], 2), slices[at].order))
    stacks = _stacks([slices[at] for at in order], np.array([heights[at] for at in order]))
    frames = len(stacks[0])
    if len(stacks) == 1:
        raise Unreadable(f"a 2-D image ({first.size[0]}x{first.size[1]}) among volumes: one slice makes no volume")
    bottom = [stack[0] for stack in stacks]
    _check_steps(bottom, np.array([float(piece.position @ normal) for piece in bottom]))
    step = (bottom[-1].position - bottom[0].position) / (len(bottom) - 1)
    tilt = float(np.degrees(np.arccos(min(1.0, abs(float(step @ normal)) / float(np.linalg.norm(step))))))
    if tilt > _TILT_DEGREES:
        raise Unreadable(f"the gantry was tilted by {tilt:.1f} degrees: correct it with dcm2niix and use the NIfTI")
    affine = np.eye(4)
    affine[:3, 0] = along_columns * first.spacing[1]
    affine[:3, 1] = along_rows * first.spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = bottom[0].position
    ordered = [stack[frame] for frame in range(frames) for stack in stacks]
    return Header(
        path=path,
        format="dicom",
        shape=(first.size[1], first.size[0], len(stacks)),
        affine=lps_to_ras(affine),
        dtype=first.dtype,
        frames=frames,
        files=tuple(piece.file for piece in ordered),
        file_frames=tuple(piece.frame for piece in ordered),
    )


def _check_alike(slices: list[Slice]) -> None:
    first = slices[0]
    for piece in slices[1:]:
        if not np.allclose(piece.orientation, first.orientation, atol=1e-3):
            raise Unreadable("slices point in different directions (a localizer?): export one series a direction")
        if piece.size != first.size or not np.allclose(piece.spacing, first.spacing, rtol=1e-3):
            rows, columns = piece.size
            raise Unreadable(f"{piece.file.name} has {rows}x{columns} pixels, others {first.size[0]}x{first.size[1]}")


def _stacks(slices: list[Slice], heights: np.ndarray) -> list[list[Slice]]:
    """Slices grouped by position, all groups equally many.

    Raises:
        Unreadable: some positions hold more slices than others.
    """
    stacks = [[slices[0]]]
    for at in range(1, len(slices)):
        if heights[at] - heights[at - 1] < 0.01:
            stacks[-1].append(slices[at])
        else:
            stacks.append([slices[at]])
    most = max(stacks, key=len)
    least = min(stacks, key=len)
    if len(most) != len(least):
        raise Unreadable(
            f"{len(most)} slices at the position of {most[0].file.name} but {len(least)} at that of "
            f"{least[0].file.name}: a file is missing or doubled"
        )
    return stacks


def _check_steps(slices: list[Slice], heights: np.ndarray) -> None:
    """Refuse gaps and uneven steps between slices sorted by `heights`."""
    steps = np.diff(heights)
    usual = float(np.median(steps))
    if len(steps) == 2:  # of two steps the smaller is the usual one
        usual = float(steps.min())
    for at, step in enumerate(steps):
        if abs(step - usual) <= _STEP_TOLERANCE * usual:
            continue
        between = f"between {slices[at].file.name} and {slices[at + 1].file.name}"
        missing = round(step / usual) - 1
        if missing >= 1 and abs(step / usual - missing - 1) < 0.2:
            number = f"{missing} slices" if missing > 1 else "a slice"
            raise Unreadable(f"{number} missing {between}: {step:.2f} mm apart, others {usual:.2f} mm")
        raise Unreadable(f"uneven slice spacing: {step:.2f} mm {between}, others {usual:.2f} mm")
