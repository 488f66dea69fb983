"""What NRRD and MetaImage share: SimpleITK reads both.

ITK's index-to-point map is in LPS+ millimetres whatever space the file was written in; it is turned into RAS+ here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_medical3d.orientation import check_affine, lps_to_ras
from ssl_platform_medical3d.readers.header import Header, check_not_empty, reading, volume_shape

_TYPES = (
    ("8-bit unsigned", "uint8"),
    ("8-bit signed", "int8"),
    ("16-bit unsigned", "uint16"),
    ("16-bit signed", "int16"),
    ("32-bit unsigned", "uint32"),
    ("32-bit signed", "int32"),
    ("64-bit unsigned", "uint64"),
    ("64-bit signed", "int64"),
    ("64-bit float", "float64"),
)


def _open(path: Path, image_io: str) -> Any:
    """A SimpleITK file reader that has read the header of `path` and nothing else."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(image_io)
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader


def read_header(
    path: Path, image_io: str, format_name: str, *, data_file: str, spaced: bool, notes: tuple[str, ...]
) -> Header:
    """The volume in one file, from its header.

    Args:
        path: the file.
        image_io: name of ITK's reader.
        format_name: for messages and `Header.format`.
        data_file: name of the file with the voxels, relative to the header; empty when they follow it.
        spaced: whether the file states its spacing.
        notes: rules applied.

    Raises:
        Unreadable: not of the format, empty, 2-D, complex or placed by a damaged affine.
    """
    import SimpleITK

    with reading(format_name):
        size = check_not_empty(path)
        files: tuple[Path, ...] = (path,)
        if data_file:
            files = (path, path.parent / data_file)
            if not files[1].is_file():
                raise Unreadable(f"its voxels are in {data_file!r}, which is not beside it")
            size += check_not_empty(files[1])
        reader = _open(path, image_io)
        pixel = SimpleITK.GetPixelIDValueAsString(reader.GetPixelID())
        if "complex" in pixel:
            raise Unreadable("holds complex values: save magnitude or phase")
        sizes = tuple(int(n) for n in reader.GetSize())
        components = int(reader.GetNumberOfComponents())
        if components > 1 and len(sizes) > 3:
            raise Unreadable("has frames and vector components at once: save one file a component")
        shape, frames = volume_shape((*sizes, components) if components > 1 else sizes)
        affine = _affine(reader)
        check_affine(affine)
        dtype = next((name for words, name in _TYPES if words in pixel), "float32")
    header = Header(path, format_name.lower(), shape, affine, dtype, frames, files=files, notes=notes, bytes=size)
    return replace(header, spaced=spaced)


def _affine(reader: Any) -> np.ndarray:
    rank = len(reader.GetSize())
    direction = np.array(reader.GetDirection()).reshape(rank, rank)[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(reader.GetSpacing())[None, :3]
    affine[:3, 3] = reader.GetOrigin()[:3]
    return lps_to_ras(affine)


def read_voxels(header: Header, image_io: str, frame: int | None = None) -> np.ndarray:
    """Values `[F, i, j, k]`; F is 1 where a `frame` is asked for.

    Raises:
        Unreadable: the data is truncated or damaged.
    """
    import SimpleITK

    with reading({"nrrd": "NRRD"}.get(header.format, "MetaImage")):
        image = _open(header.path, image_io).Execute()
        array = SimpleITK.GetArrayFromImage(image)  # [(frames,) k, j, i (, components)]
        if image.GetNumberOfComponentsPerPixel() > 1:
            array = np.moveaxis(array, -1, 0)
        array = array.reshape(header.frames, *header.shape[::-1])
    chosen = array if frame is None else array[frame : frame + 1]
    return np.asarray(chosen.transpose(0, 3, 2, 1))


def write(path: Path, volume: np.ndarray, affine: np.ndarray, image_io: str) -> Path:
    """Write `[i, j, k]` with a RAS+ `affine` in ITK's own geometry (directions must be orthogonal)."""
    import SimpleITK

    lps = lps_to_ras(affine)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(volume.T))
    image.SetSpacing([float(s) for s in spacing])
    image.SetOrigin([float(o) for o in lps[:3, 3]])
    image.SetDirection([float(d) for d in (lps[:3, :3] / spacing).ravel()])
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO(image_io)
    writer.SetFileName(str(path))
    writer.UseCompressionOn()
    writer.Execute(image)
    return path
