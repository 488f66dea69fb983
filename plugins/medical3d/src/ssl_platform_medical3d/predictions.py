"""Dense predictions back in the geometry of the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.errors import DataError
from ssl_platform.types import Row
from ssl_platform_medical3d.items import header_of
from ssl_platform_medical3d.options import Medical3DOptions
from ssl_platform_medical3d.orientation import orientation_of
from ssl_platform_medical3d.readers import metaimage, nifti, nrrd, stem
from ssl_platform_medical3d.readers.header import Header
from ssl_platform_medical3d.resample import resample_linear, resample_nearest

_WRITERS = {
    ".nii": nifti.write,
    ".nii.gz": nifti.write,
    ".nrrd": nrrd.write,
    ".mha": metaimage.write,
}
_SUFFIX_OF_FORMAT = {"nrrd": ".nrrd", "metaimage": ".mha"}


def write_prediction(
    row: Row,
    prediction: np.ndarray,
    path: Path,
    options: Medical3DOptions,
    geometry: Mapping[str, Any] | None = None,
) -> Path:
    """Write a prediction `[*row.shape]` on the voxels of the source, with its affine.

    Integers are labels (nearest voxel), floats are interpolated. The format is that of the ending of `path`; without
    one it is the source's for NRRD and MetaImage, and compressed NIfTI for all else, DICOM included.

    Args:
        row: the item.
        prediction: of every cell of its grid.
        path: of the file.
        options: of the domain.
        geometry: of the source as `prepare` kept it; None reads it from the source.

    Raises:
        DataError: the prediction's shape is not the row's.
    """
    if tuple(prediction.shape) != tuple(row.shape):
        raise DataError(
            f"{row.id}: a prediction of shape {prediction.shape} does not fit the item's {tuple(row.shape)}"
        )
    header = header_of(row, options) if geometry is None else _kept(row, geometry)
    orientation = orientation_of(header.affine)
    values = to_source(prediction, orientation.shape(header.shape), row.spacing, header.spacing)
    volume = np.ascontiguousarray(orientation.invert(values))
    name = path.name.lower()
    suffix = next((ending for ending in sorted(_WRITERS, key=len, reverse=True) if name.endswith(ending)), None)
    if suffix is None:
        suffix = _SUFFIX_OF_FORMAT.get(header.format, ".nii.gz")
        path = path.with_name(f"{stem(path)}{suffix}")
    return _WRITERS[suffix](path, volume, header.affine)


def _kept(row: Row, geometry: Mapping[str, Any]) -> Header:
    """The header of a source that is no longer needed."""
    i, j, k = (int(n) for n in geometry["shape"])
    return Header(Path(row.path), str(geometry["format"]), (i, j, k), np.array(geometry["affine"]), row.dtype)


def to_source(
    prediction: np.ndarray, shape: Sequence[int], spacing: Sequence[float], source_spacing: Sequence[float]
) -> np.ndarray:
    """`[D, H, W]` in the normalised grid to the source's cells in the same axes.

    Args:
        prediction: integers (kept as the smallest of uint8, int16, int32 that holds them) or floats (float32).
        shape: the source's sizes along D, H, W.
        spacing: of the normalised grid.
        source_spacing: of the source.
    """
    steps = [
        1.0 if size == new_size else old / new
        for new, old, size, new_size in zip(spacing, source_spacing, prediction.shape, shape, strict=True)
    ]
    if prediction.dtype.kind == "f":
        return resample_linear(prediction, shape, steps)
    low, high = int(prediction.min()), int(prediction.max())
    dtype = np.uint8 if low >= 0 and high <= 255 else np.int16 if low >= -32768 and high <= 32767 else np.int32
    return resample_nearest(prediction, shape, steps).astype(dtype)
