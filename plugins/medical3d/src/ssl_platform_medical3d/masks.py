"""Label masks in the grid of their item."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ssl_platform.errors import Misfit, Unreadable
from ssl_platform.types import Row
from ssl_platform_medical3d.items import directed, header_of
from ssl_platform_medical3d.options import Medical3DOptions
from ssl_platform_medical3d.orientation import orientation_of
from ssl_platform_medical3d.prepare import check_same_grid
from ssl_platform_medical3d.readers import reader_of
from ssl_platform_medical3d.readers.header import Header
from ssl_platform_medical3d.resample import resample_nearest


def read_mask(row: Row, path: Path, options: Medical3DOptions, resample: bool = False) -> np.ndarray:
    """A mask `[*row.shape]` of int16 labels (int32 where they need it); any of the volume formats.

    Args:
        row: the item.
        path: the mask.
        options: the domain's.
        resample: whether a mask on other voxels is brought to the item's (nearest), by their world coordinates.

    Raises:
        Misfit: its voxels are not the item's, and `resample` is off.
        Unreadable: it cannot be read, or its values are not whole numbers.
    """
    if not path.exists():
        raise Unreadable(f"mask {path.name} is not there")
    source = header_of(row, options)
    headers = list(reader_of(path).read_headers(path))
    if len(headers) != 1 or headers[0].frames != 1:
        raise Unreadable(f"mask {path.name} holds several volumes: one is needed")
    mask = directed(headers[0], options)
    orientation = orientation_of(source.affine)
    same = True
    if mask.spaced:
        try:
            check_same_grid(mask, source, f"mask {path.name}", "its image")
        except Unreadable as error:
            if not resample:
                raise Misfit(f"{error.why}; labels.resample=nearest would resample it") from None
            same = False
    labels = _whole(reader_of(path).read_voxels(mask)[0], path)
    if not same:
        return _by_world(labels, mask, source, row)
    # A plain array has no place of its own: its axes are those of `data.array_axes`, its voxels the image's.
    labels = orientation_of(mask.affine).apply(labels)
    if labels.shape != orientation.shape(source.shape):
        shapes = ("x".join(map(str, shape)) for shape in (labels.shape, orientation.shape(source.shape)))
        raise Misfit("mask {} has shape {} (z, y, x), its image has {}".format(path.name, *shapes))
    steps = [
        1.0 if size == new_size else new / old
        for new, old, size, new_size in zip(row.spacing, source.spacing, labels.shape, row.shape, strict=True)
    ]
    return np.ascontiguousarray(resample_nearest(labels, row.shape, steps))


def _whole(values: np.ndarray, path: Path) -> np.ndarray:
    """Labels as integers, or the reason they are none."""
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise Unreadable(f"mask {path.name} holds values that are not finite")
        whole = np.rint(values)
        if float(np.abs(values - whole).max()) > 1e-3:
            raise Unreadable(f"mask {path.name} holds values that are not whole numbers: probabilities or an image?")
        values = whole
    low, high = float(values.min()), float(values.max())
    return values.astype(np.int16 if low >= -32768 and high <= 32767 else np.int32)


def _by_world(labels: np.ndarray, mask: Header, source: Header, row: Row) -> np.ndarray:
    """The mask's voxel nearest to each cell of the item's normalised grid; 0 outside the mask."""
    from scipy import ndimage

    oriented = orientation_of(source.affine).affine(source.affine, source.shape)
    cells = np.eye(4)
    for axis, (new, old) in enumerate(zip(row.spacing, source.spacing, strict=True)):
        cells[axis, axis] = new / old
        cells[axis, 3] = 0.5 * new / old - 0.5
    to_mask = np.linalg.inv(mask.affine) @ oriented @ cells
    found = ndimage.affine_transform(
        labels, to_mask[:3, :3], to_mask[:3, 3], output_shape=tuple(row.shape), order=0, mode="constant", cval=0
    )
    return np.asarray(found)
