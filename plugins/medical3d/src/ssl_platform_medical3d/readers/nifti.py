"""NIfTI-1 and NIfTI-2, plain or gzipped, with nibabel.

The sform places the voxels where its code is set, else the qform, else the voxel sizes alone (then orientation is
unknown and taken as nibabel does, noted). Intercept and slope are applied. Frames are the fourth axis.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_medical3d.orientation import check_affine, codes_of, voxel_spacing
from ssl_platform_medical3d.readers.header import Header, check_not_empty, reading, volume_shape

SUFFIXES = (".nii", ".nii.gz")
_MM_OF_UNIT = {1: 1000.0, 2: 1.0, 3: 0.001}
_UNIT_NAMES = {1: "metres", 3: "micrometres"}


def _pixdim(path: Path) -> np.ndarray:
    """Voxel sizes `[3]` as the file has them, before nibabel repairs zeros without a word.

    Raises:
        Unreadable: too short for a header, or it does not start like one.
    """
    import gzip

    with (gzip.open if path.name.lower().endswith(".gz") else open)(path, "rb") as file:
        head = file.read(540)
    for order in "<>":
        size = int(np.frombuffer(head[:4].ljust(4, b"\0"), f"{order}i4")[0])
        if size == 348 and len(head) >= 348:
            return np.frombuffer(head, f"{order}f4", 3, 80)
        if size == 540 and len(head) >= 540:
            return np.frombuffer(head, f"{order}f8", 3, 112)
    if head.startswith(b"\x1f\x8b"):
        raise Unreadable("compressed although its name does not say so: end its name in .nii.gz")
    raise Unreadable("not a readable NIfTI file (it does not start with a NIfTI header)")


def _load(path: Path) -> Any:
    import nibabel

    # Its log would otherwise repeat on the terminal what becomes a note or an error here.
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)
    image = nibabel.load(path)
    if not isinstance(image, nibabel.Nifti1Pair):
        raise Unreadable(f"not a NIfTI file ({type(image).__name__})")
    return image


def read_headers(path: Path) -> list[Header]:
    """The volume in one file.

    Raises:
        Unreadable: not NIfTI, empty, truncated (plain files), 2-D, colour or complex, or placed by a damaged affine.
    """
    with reading("NIfTI"):
        size = check_not_empty(path)
        pixdim = _pixdim(path)
        image = _load(path)
        header = image.header
        dtype = header.get_data_dtype()
        if dtype.fields is not None:
            raise Unreadable("holds colour pictures (RGB): export the volume's values instead")
        if dtype.kind == "c":
            raise Unreadable("holds complex values: save magnitude or phase")
        shape, frames = volume_shape(tuple(int(n) for n in image.shape))
        if path.name.lower().endswith(".nii"):
            need = int(image.dataobj.offset) + int(np.prod(image.shape)) * dtype.itemsize
            if size < need:
                raise Unreadable(f"truncated: {size:,} of {need:,} bytes are there, copy it again")
        affine, notes = _affine(image, pixdim)
    return [Header(path, "nifti", shape, affine, dtype.name, frames, files=(path,), notes=notes, bytes=size)]


def _affine(image: Any, pixdim: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    header = image.header
    affine = np.array(image.affine, dtype=np.float64)
    notes: list[str] = []
    sform, qform = int(header["sform_code"]), int(header["qform_code"])
    if not np.isfinite(pixdim).all() or (pixdim == 0).any():
        if sform == 0:
            raise Unreadable("zero or non-finite voxel spacing: repair pixdim in the header")
        notes.append("pixdim is damaged, the sform's spacing was used")
    check_affine(affine)
    if sform == 0 and qform == 0:
        notes.append(f"neither sform nor qform is set: orientation unknown, taken as {codes_of(affine)}")
    elif sform > 0 and qform > 0:
        other = np.asarray(header.get_qform())
        if (
            np.isfinite(other).all()
            and (voxel_spacing(other) > 0).all()
            and (
                codes_of(other) != codes_of(affine)
                or not np.allclose(voxel_spacing(other), voxel_spacing(affine), rtol=0.01)
            )
        ):
            notes.append("sform and qform disagree, the sform was used")
    unit = int(header["xyzt_units"]) & 7
    if unit in _UNIT_NAMES:
        affine[:3] *= _MM_OF_UNIT[unit]
        notes.append(f"units are {_UNIT_NAMES[unit]}, turned into mm")
    return affine, tuple(notes)


def read_voxels(header: Header, frame: int | None = None) -> np.ndarray:
    """Values `[F, i, j, k]`, rescaled; F is 1 where a `frame` is asked for.

    Raises:
        Unreadable: the data is truncated or damaged.
    """
    with reading("NIfTI"):
        data = _load(header.path).dataobj
        if header.frames == 1 or frame is None:
            volume = np.asanyarray(data)
            volume = volume.reshape(*header.shape, header.frames)
        else:
            volume = np.asanyarray(data[..., frame]).reshape(*header.shape, 1)
    return np.moveaxis(volume, -1, 0)


def write(path: Path, volume: np.ndarray, affine: np.ndarray, description: str = "") -> Path:
    """Write `[i, j, k]` as NIfTI-1; the same values give the same bytes.

    Args:
        path: ends in `.nii` or `.nii.gz`.
        volume: values of a type NIfTI knows.
        affine: `[4, 4]` to RAS+ world coordinates, mm.
        description: at most 79 characters for the header's `descrip`.
    """
    import gzip

    import nibabel

    image = nibabel.Nifti1Image(volume, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = description.encode("ascii", "replace")[:79]
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    data = image.to_bytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.lower().endswith(".gz"):
        data = gzip.compress(data, compresslevel=1, mtime=0)
    path.write_bytes(data)
    return path
